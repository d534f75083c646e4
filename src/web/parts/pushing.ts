import { systemClock } from '../../client/clock.ts'
import { addressesOf, Credentials } from '../../client/credentials.ts'
import type { Fetch } from '../../client/environment.ts'
import { ChatError } from '../../client/errors.ts'
import { type Push, pushOver } from '../../client/push-subscription.ts'
import { Rest } from '../../client/rest.ts'
import type { Auth } from '../../client/types.ts'
import { type Notifying, notifying, whyNoNotifications } from './notifying.ts'
import { server, socketUrl } from './server.ts'

/** Notifications while no page is open, for whoever is here by whatever way. */
export function pushes(auth: Auth, fetch?: Fetch): Push {
  const addresses = addressesOf(socketUrl())
  const credentials = new Credentials(auth, addresses, { clock: systemClock(), fetch })
  return pushOver(new Rest(addresses.http, credentials, fetch))
}

async function registrationHere(): Promise<ServiceWorkerRegistration | undefined> {
  const registration = await navigator.serviceWorker?.getRegistration()
  return registration?.pushManager && registration
}

/** What hangs by then, as a push service may, holds up what comes after it no longer. */
const LIMIT_MS = 20_000

/** Only the last of them may stay: what is under way would go on after what ended it. */
let line: Promise<unknown> = Promise.resolve()
const declarations = new Set<AbortController>()

type Task = (fetch: Fetch) => Promise<void>

function inLine(task: Task, ending = new AbortController()): Promise<void> {
  const done = line.then(() => inTime(task, ending))
  line = done.catch(() => undefined)
  return done
}

/** By a timer of its own: not all browsers can join two signals. */
async function inTime(task: Task, ending: AbortController): Promise<void> {
  const { signal } = ending
  const untilEnded: Fetch = (url, init) => fetch(url, { ...init, signal } as RequestInit)
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      ending.abort()
      reject(new ChatError({ code: 'network', temporary: true }))
    }, LIMIT_MS)
  })
  try {
    await Promise.race([task(untilEnded), late])
  } finally {
    clearTimeout(timer)
  }
}

/** Tells the server what this device wants to hear while no page is open. Without push there are those of the open page. */
export async function applyPushes(auth: Auth, { isOn, showsText }: Notifying): Promise<void> {
  if (!isOn) return stopPushes(auth)
  const declaring = new AbortController()
  const declare = async (fetch: Fetch): Promise<void> => {
    const registration = await registrationHere()
    if (declaring.signal.aborted || !server.get()?.push || !registration) return
    const locale = document.documentElement.lang
    const content = showsText ? 'full' : 'sender'
    await pushes(auth, fetch).subscribe(registration, { content, locale })
  }
  declarations.add(declaring)
  try {
    await inLine(declare, declaring)
  } catch (error) {
    // One that was stopped has not failed.
    if (declarations.has(declaring)) throw error
  } finally {
    declarations.delete(declaring)
  }
}

const AGAIN_MS = 86_400_000
let declared: { readonly auth: Auth; readonly at: number } | undefined

/**
 * The same, with each load and with a connection that comes a day later: a subscription that nobody confirms ends, and one that another person has left here is
 * not for whoever is here now.
 */
export async function declarePushes(auth: Auth): Promise<void> {
  if (declared?.auth === auth && Date.now() - declared.at < AGAIN_MS) return
  const declaring = { auth, at: Date.now() }
  declared = declaring
  const { isOn, showsText } = notifying.get()
  const isPermitted = whyNoNotifications() === undefined && Notification.permission === 'granted'
  try {
    await applyPushes(auth, { isOn: isOn && isPermitted, showsText })
  } catch {
    // With the next connection it is tried again.
    if (declared === declaring) declared = undefined
  }
}

/** The browser has exchanged the subscription, or the server's history is another one: it is to be declared again. */
export function declareAgain(auth: Auth): Promise<void> {
  declared = undefined
  return declarePushes(auth)
}

/** Ends them here first: what the server cannot be told now, or by nobody, the push service tells it. */
export function stopPushes(auth: Auth | undefined, fetch?: Fetch): Promise<void> {
  for (const declaring of declarations) declaring.abort()
  declarations.clear()
  return inLine((inTime) => stop(auth, fetch ?? inTime))
}

/** Somebody has left in another tab, which ends what was declared before: what is under way here would come after that. */
export async function undoPushes(): Promise<void> {
  // What nobody is declaring here may be of whoever came next.
  if (declarations.size > 0) await stopPushes(undefined).catch(() => undefined)
}

async function stop(auth: Auth | undefined, fetch: Fetch): Promise<void> {
  const registration = await registrationHere()
  if (!registration) return
  if (!auth) await (await registration.pushManager.getSubscription())?.unsubscribe()
  else
    await pushes(auth, fetch)
      .unsubscribe(registration)
      .catch(() => undefined)
}
