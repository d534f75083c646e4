import { keep, kept } from './kept.ts'

/** A server that does not answer by then hears of it no more: what came later would end the session of whoever comes next. */
export const LEAVING_LIMIT_MS = 5000

/** Until when somebody may still be leaving in a tab of this browser, in milliseconds since 1970. */
const LEAVING = 'leaving-until'

/** What this tab has said itself: another one that leaves meanwhile has said a later time. */
let said: string | undefined

/** Tells the other tabs: the answer to a logout ends the session of whoever signs in in one of them before it has come. */
export function announceLeaving(): void {
  said = String(Date.now() + LEAVING_LIMIT_MS)
  keep(LEAVING, said)
}

/** This tab has left. What another one has announced stays. */
export function announceGone(): void {
  if (said !== undefined && kept(LEAVING) === said) keep(LEAVING, undefined)
  said = undefined
}

/** How much longer; a tab that was closed meanwhile, or a clock that was set back, keeps nobody out. */
function leavingMs(): number {
  const ms = Number(kept(LEAVING) ?? 0) - Date.now()
  return ms > 0 && ms <= LEAVING_LIMIT_MS ? ms : 0
}
export const isSomebodyLeaving = (): boolean => leavingMs() > 0

/** Resolves when nobody is leaving any more. */
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
