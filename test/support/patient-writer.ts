/** One exact replacement in one compiled file. */
export interface Patch {
  readonly file: string
  readonly search: string
  readonly replace: string
}

/**
 * What makes of the compiled service one whose writer has a minute where it has 1.8 s: for tests in which no send may be refused
 * because the machine is busy, those that hold a table, do this and that while a send waits, and let it be stored; and those that
 * count refusals.
 */
export const PATIENT_WRITER: readonly Patch[] = [
  {
    file: 'config/variables.js',
    search: 'wholeNumber(1, 2000, 1800,',
    replace: 'wholeNumber(1, 60_000, 60_000,',
  },
  {
    file: 'postgres/session-settings.js',
    search: 'limitSettings({ lockTimeoutMs: WRITER_LOCK_TIMEOUT_MS })',
    replace: 'limitSettings({ statementTimeoutMs: 60_000, lockTimeoutMs: 60_000 })',
  },
]
