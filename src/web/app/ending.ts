import type { Fetch } from '../../client/environment.ts'
import { request } from '../../client/http.ts'
import type { Auth } from '../../client/types.ts'
import { keep, kept } from '../parts/kept.ts'
import { stopPushes } from '../parts/pushing.ts'

/** A server that does not answer by then hears of it no more: what came later would end the session of whoever comes next. */
const LIMIT_MS = 5000

/** Until when somebody may still be leaving in a tab of this browser, in milliseconds since 1970. */
const LEAVING = 'leaving-until'

/** Tells the other tabs: the answer to a logout ends the session of whoever signs in in one of them before it has come. */
export const announceLeaving = (): void => keep(LEAVING, String(Date.now() + LIMIT_MS))

/** How much longer; a tab that was closed meanwhile, or a clock that was set back, keeps nobody out. */
function leavingMs(): number {
  const ms = Number(kept(LEAVING) ?? 0) - Date.now()
  return ms > 0 && ms <= LIMIT_MS ? ms : 0
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

export interface Ending {
  readonly isForGood: boolean
  /** The notifications of this browser are for this person, and not for one who came after. */
  readonly isNotified: boolean
}

/** Ends what the server knows of this device: its notifications, and if it is for good, the session. Never rejects. */
export async function endSession(auth: Auth | undefined, { isForGood, isNotified }: Ending): Promise<void> {
  const isSession = auth !== undefined && 'session' in auth
  if (isForGood && isSession) announceLeaving()
  const signal = AbortSignal.timeout(LIMIT_MS)
  const late = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
  const inTime: Fetch = (url, init) => fetch(url, { ...init, signal } as RequestInit)
  const tasks: Promise<unknown>[] = isNotified ? [stopPushes(auth, inTime)] : []
  if (isForGood && isSession) tasks.push(request(inTime, { method: 'POST', url: '/api/auth/logout', body: {} }))
  await Promise.race([Promise.allSettled(tasks), late])
  keep(LEAVING, undefined)
}
