// A service like any other but for one thing: its writer has a minute where it has 1.8 s.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** What is changed in the compiled service. */
export const PATIENT_WRITER = [
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
] as const

/**
 * For tests in which no send may be refused because the machine is busy: those that hold a table, do this and that while a
 * send waits, and let it be stored; and those that count refusals. To be called with the file's own copy of the compiled
 * service before anything is started from it.
 */
export async function makeWriterPatient(dist: string): Promise<void> {
  for (const { file, search, replace } of PATIENT_WRITER) {
    const path = join(dist, file)
    const text = await readFile(path, 'utf8')
    if (text.split(search).length !== 2) throw new Error(`${file} does not have '${search}' once`)
    await writeFile(path, text.replace(search, replace))
  }
}
