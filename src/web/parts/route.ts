import { useSyncExternalStore } from 'react'
import { USER_ID_PATTERN } from '../../protocol/limits.ts'
import type { UserId } from '../../protocol/message.ts'

/** What the address says is open. The service shows the page for these paths alone: `public/paths.json`. */
export type Route =
  | { readonly screen: 'list' }
  | { readonly screen: 'chat'; readonly with: UserId }
  /** `part`: '' or one name, such as `sessions`. */
  | { readonly screen: 'settings'; readonly part: string }

const listeners = new Set<() => void>()
const tell = (): void => {
  for (const listener of [...listeners]) listener()
}
addEventListener('popstate', tell)

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export const chatPath = (other: UserId): string => `/c/${encodeURIComponent(other)}`

export function routeOf(path: string): Route {
  const [, screen, name = ''] = path.split('/')
  if (screen === 'settings') return { screen, part: name }
  const other = screen === 'c' ? decoded(name) : ''
  return USER_ID_PATTERN.test(other) ? { screen: 'chat', with: other } : { screen: 'list' }
}

/** Empty when it is no text. */
export function decoded(name: string): string {
  try {
    return decodeURIComponent(name)
  } catch {
    return ''
  }
}

const present = (): string => location.pathname
export function useRoute(): Route {
  return routeOf(useSyncExternalStore(subscribe, present))
}

interface Entry {
  /** How many entries of this page lie below: 0 is where the person came in. */
  readonly depth: number
  /** The path of the entry right below, if this page has opened this one from there. */
  readonly below?: string
}
const entry = (): Entry => (history.state as Entry | null) ?? { depth: 0 }

/** Opens a path as a new entry of the history, or in place of the present one. */
export function navigate(path: string, { replace = false } = {}): void {
  if (path === location.pathname) return
  const { depth } = entry()
  if (replace) history.replaceState(entry(), '', path)
  else history.pushState({ depth: depth + 1, below: location.pathname } satisfies Entry, '', path)
  tell()
}

/** What the button of the browser does; where nothing of this page lies below, the list. */
export function goBack(): void {
  if (entry().depth > 0) history.back()
  else navigate('/', { replace: true })
}

/** To the screen above this one: back, where it was opened from there, so that the history tells where one has been. */
export function goUp(path: string): void {
  if (entry().below === path) history.back()
  else navigate(path, { replace: true })
}
