/** What tells a process that it is one of several on the port; its number follows. */
export const WORKER_ARGUMENT = '--worker'

/** Which of several processes this is, from 0 on; undefined for a process that was not started by another. */
export function workerNumber(argv: readonly string[]): number | undefined {
  const at = argv.indexOf(WORKER_ARGUMENT)
  return at < 0 ? undefined : Number(argv[at + 1])
}
