import { keep } from './kept.ts'

/** A server that does not answer by then hears of it no more: what came later would end the session of whoever comes next. */
export const LEAVING_LIMIT_MS = 5000

/** What the keys begin with that say until when somebody may still be leaving in a tab of this browser, in milliseconds since 1970. */
const LEAVING = 'leaving-until'

/** Each tab has a key of its own: of two that leave at one time the first to be done ends the waiting for itself alone. */
const own = `${LEAVING} ${Math.random()}`

/** Tells the other tabs: the answer to a logout ends the session of whoever signs in in one of them before it has come. */
export function announceLeaving(): void {
  for (const key of announced()) if (remainingMs(key) === 0) localStorage.removeItem(key)
  keep(own, String(Date.now() + LEAVING_LIMIT_MS))
}

/** This tab has left. */
export function announceGone(): void {
  keep(own, undefined)
}

/**
 * Announces it for as long as this takes, which ends sessions at the server. When it has, the tab is about to leave, and goes on saying so;
 * when it fails nobody leaves.
 */
export async function announceWhile<T>(task: () => Promise<T>): Promise<T> {
  announceLeaving()
  const timer = setInterval(announceLeaving, LEAVING_LIMIT_MS / 2)
  try {
    return await task()
  } catch (error) {
    announceGone()
    throw error
  } finally {
    clearInterval(timer)
  }
}

/** The keys of the other tabs. */
function announced(): readonly string[] {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(LEAVING) && key !== own)
  } catch {
    return []
  }
}

/** How much longer; a tab that was closed meanwhile, or a clock that was set back, keeps nobody out. */
function remainingMs(key: string): number {
  const ms = Number(localStorage.getItem(key)) - Date.now()
  return ms > 0 && ms <= LEAVING_LIMIT_MS ? ms : 0
}
const leavingMs = (): number => Math.max(0, ...announced().map(remainingMs))

/** Whether somebody is leaving in another tab. */
export const isSomebodyLeaving = (): boolean => leavingMs() > 0

/** Resolves when nobody is leaving any more in another tab. */
export async function othersGone(): Promise<void> {
  while (isSomebodyLeaving()) {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, leavingMs())
      function done(): void {
        clearTimeout(timer)
        removeEventListener('storage', done)
        resolve()
      }
      addEventListener('storage', done)
    })
  }
}
