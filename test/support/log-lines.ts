import type { LogOutput } from '../../src/telemetry/log-output.ts'

/** An output of the log within the test's process. */
export function outputTo(write: (line: string) => void): LogOutput {
  return { write, droppedLines: () => 0, settled: () => Promise.resolve(), flushNow: () => undefined }
}
