/** What tells a process that it is one of several on the port. */
export const WORKER_ARGUMENT = '--worker'
