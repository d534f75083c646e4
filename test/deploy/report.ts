// What `npm run deploy` has played, by the name and version of each program.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Reporter, TestModule } from 'vitest/node'

const FILE = fileURLToPath(new URL('../../dist/deploy-report.txt', import.meta.url))
const MARKS = { passed: 'ok      ', failed: 'FAILED  ', skipped: 'skipped ', pending: 'FAILED  ' } as const

/** Writes one line for each play to `dist/deploy-report.txt`, and prints it. */
export class DeployReport implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const lines = modules.flatMap((module) => {
      const file = relative(fileURLToPath(new URL('../..', import.meta.url)), module.moduleId)
      const broken = module.errors().map(({ message }) => `FAILED  ${file}: ${message}`)
      const plays = [...module.children.allTests()].map((play) => `${MARKS[play.result().state]}${play.fullName}`)
      return [...broken, ...plays]
    })
    mkdirSync(dirname(FILE), { recursive: true })
    writeFileSync(FILE, `${new Date().toISOString()}, Node ${process.version}\n${lines.join('\n')}\n`)
    process.stdout.write(`\n${lines.join('\n')}\n(${FILE})\n`)
  }
}
