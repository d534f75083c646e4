import { fileURLToPath } from 'node:url'
import { CommandedProcess } from './commanded-process.ts'
import { VoidRun } from './load.ts'
import type { PageCommand, PageResult } from './page-load.ts'

const processFile = fileURLToPath(new URL('./page-visitor-process.js', import.meta.url))

export type PageHandle = CommandedProcess<PageCommand, PageResult>

/** A process that opens the page; a command rejects with `VoidRun` when a file did not come. */
export function startPageVisitor(): PageHandle {
  return new CommandedProcess(processFile, (reason) => new VoidRun(`page: ${reason}`))
}
