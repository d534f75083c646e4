import { fileURLToPath } from 'node:url'
import { CommandedProcess } from './commanded-process.ts'
import type { FloodCommand, FloodResult } from './flood-plan.ts'

const processFile = fileURLToPath(new URL('./flood-process.js', import.meta.url))

export type FloodHandle = CommandedProcess<FloodCommand, FloodResult>

/** A process of clients that offer too much. */
export function startFlood(): FloodHandle {
  return new CommandedProcess(processFile, (reason) => new Error(`flood: ${reason}`))
}
