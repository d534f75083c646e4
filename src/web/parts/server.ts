import type { ServerInfo } from '../../client/accounts-types.ts'
import { keep, kept } from './kept.ts'
import { Value } from './store.ts'

/** What the server says of itself; undefined until it has been asked, and when it could never be reached. */
export const server = new Value<ServerInfo | undefined>(undefined)

export const socketUrl = (): string => `${location.origin.replace(/^http/, 'ws')}/ws`

const KEPT = 'server'
/** A server that does not answer is taken to be what it was, so that the page starts without it. */
const PATIENCE_MS = 3000

export async function askServer(): Promise<void> {
  try {
    const response = await fetch('/api/server', { signal: AbortSignal.timeout(PATIENCE_MS) })
    if (!response.ok) throw new Error(`HTTP ${response.status}`)
    const info = (await response.json()) as ServerInfo
    keep(KEPT, JSON.stringify(info))
    server.set(info)
  } catch {
    server.set(remembered())
  }
}

function remembered(): ServerInfo | undefined {
  try {
    return JSON.parse(kept(KEPT) ?? '') as ServerInfo
  } catch {
    return undefined
  }
}
