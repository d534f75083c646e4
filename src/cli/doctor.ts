import { reasonOf } from '../lib/errors.ts'

/** One thing to look at. Resolves with what was found in words; rejects with what is wrong and what to do. */
export interface Check {
  readonly name: string
  /** Undefined: there is nothing to look at in this configuration. */
  run(): Promise<string | undefined>
}

export interface CheckResult {
  readonly name: string
  readonly status: 'ok' | 'failed' | 'skipped'
  readonly detail: string
}

/** One after the other; a check that fails does not keep the next from running. */
export async function runChecks(checks: readonly Check[]): Promise<CheckResult[]> {
  const results: CheckResult[] = []
  for (const check of checks) results.push(await runCheck(check))
  return results
}

async function runCheck({ name, run }: Check): Promise<CheckResult> {
  try {
    const detail = await run()
    return detail === undefined ? { name, status: 'skipped', detail: 'not configured' } : { name, status: 'ok', detail }
  } catch (error) {
    return { name, status: 'failed', detail: reasonOf(error) }
  }
}
