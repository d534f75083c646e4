import type { ServerInfo } from '../../client/accounts-types.ts'
import { keep, kept } from './kept.ts'
import { isJustReloaded } from './reloaded.ts'
import { Value } from './store.ts'

/** What the page shows of the server; undefined until that is known, and when it could never be reached. */
export const server = new Value<ServerInfo | undefined>(undefined)

export const socketUrl = (): string => `${location.origin.replace(/^http/, 'ws')}/ws`

const KEPT = 'server'
const PATIENCE_MS = 3000

/** The newest that is known of it, whether or not the page shows it yet. */
let known: ServerInfo | undefined

/** What it is, or was the last time: then the page starts without it, and it is asked behind the page. Undefined: nobody knows. */
export async function askServer(): Promise<ServerInfo | undefined> {
  known ??= remembered()
  const asked = ask()
  if (!known) await asked
  return known
}

async function ask(): Promise<void> {
  try {
    const response = await fetch('/api/server', { signal: AbortSignal.timeout(PATIENCE_MS) })
    if (response.ok) learn((await response.json()) as ServerInfo)
  } catch {
    // What was known stays.
  }
}

function learn(info: ServerInfo): void {
  keep(KEPT, JSON.stringify(info))
  // The page has begun as people do where one signs in otherwise.
  if (known && known.auth !== info.auth) return isJustReloaded() ? undefined : location.reload()
  known = info
  if (server.get()) server.set(info)
}

function remembered(): ServerInfo | undefined {
  try {
    return JSON.parse(kept(KEPT) ?? '') as ServerInfo
  } catch {
    return undefined
  }
}
