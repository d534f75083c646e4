import { reasonOf } from '../lib/errors.ts'

/** One thing to look at. Resolves with what was found in words; rejects with what is wrong and what to do. */
export interface Check {
  readonly name: string
  /** Without it there is nothing else to look at; its failure ends the command with this exit code. */
  readonly exitCode?: number
  /** Undefined: there is nothing to look at in this configuration. */
  run(): Promise<string | undefined>
}

export interface Checked {
  readonly results: readonly CheckResult[]
  readonly exitCode: number
}

export interface CheckResult {
  readonly name: string
  readonly status: 'ok' | 'failed' | 'skipped'
  readonly detail: string
}

/** One after the other; a check that fails keeps the next from running only where these need it. */
export async function runChecks(checks: readonly Check[]): Promise<Checked> {
  const results: CheckResult[] = []
  for (const check of checks) {
    const result = await runCheck(check)
    results.push(result)
    if (result.status === 'failed' && check.exitCode !== undefined) return { results, exitCode: check.exitCode }
  }
  return { results, exitCode: results.some(({ status }) => status === 'failed') ? 1 : 0 }
}

async function runCheck({ name, run }: Check): Promise<CheckResult> {
  try {
    const detail = await run()
    return detail === undefined ? { name, status: 'skipped', detail: 'not configured' } : { name, status: 'ok', detail }
  } catch (error) {
    return { name, status: 'failed', detail: reasonOf(error) }
  }
}
