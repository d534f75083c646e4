import type { Fetch } from '../../client/environment.ts'
import { request } from '../../client/http.ts'
import type { Auth } from '../../client/types.ts'
import { announceGone, announceLeaving, LEAVING_LIMIT_MS } from '../parts/leaving.ts'
import { stopPushes } from '../parts/pushing.ts'

export interface Ending {
  readonly isForGood: boolean
  /** The notifications of this browser are for this person, and not for one who came after. */
  readonly isNotified: boolean
}

/** Ends what the server knows of this device: its notifications, and if it is for good, the session. Never rejects. */
export async function endSession(auth: Auth | undefined, { isForGood, isNotified }: Ending): Promise<void> {
  const isSession = auth !== undefined && 'session' in auth
  if (isForGood && isSession) announceLeaving()
  const signal = AbortSignal.timeout(LEAVING_LIMIT_MS)
  const late = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
  const inTime: Fetch = (url, init) => fetch(url, { ...init, signal } as RequestInit)
  const tasks: Promise<unknown>[] = isNotified ? [stopPushes(auth, inTime)] : []
  if (isForGood && isSession) tasks.push(request(inTime, { method: 'POST', url: '/api/auth/logout', body: {} }))
  await Promise.race([Promise.allSettled(tasks), late])
  announceGone()
}
