import { execFileSync } from 'node:child_process'
import { cpus, totalmem } from 'node:os'
import { ROOT } from './build.ts'

/** Of what and on what figures were taken; part of every report. */
export interface Here {
  readonly git: string
  readonly startedAt: string
  readonly machine: { readonly cpus: number; readonly memoryGib: number; readonly node: string }
}

export function here(): Here {
  return {
    git: gitVersion(),
    startedAt: new Date().toISOString(),
    machine: { cpus: cpus().length, memoryGib: Math.round(totalmem() / 2 ** 30), node: process.version },
  }
}

export function gitVersion(): string {
  return execFileSync('git', ['describe', '--always', '--dirty', '--abbrev=12'], { cwd: ROOT }).toString().trim()
}
