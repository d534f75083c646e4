import type { Auth } from '../../client/types.ts'
import type { Notifying } from '../parts/notifying.ts'
import { server } from '../parts/server.ts'
import { pushes } from './accounts.ts'

async function registrationHere(): Promise<ServiceWorkerRegistration | undefined> {
  const registration = await navigator.serviceWorker?.getRegistration()
  return registration?.pushManager && registration
}

/** Tells the server what this device wants to hear while no page is open. Without push there are those of the open page. */
export async function applyPushes(auth: Auth, { isOn, showsText }: Notifying): Promise<void> {
  if (!isOn) return stopPushes(auth)
  const registration = await registrationHere()
  if (!server.get()?.push || !registration) return
  const locale = document.documentElement.lang
  await pushes(auth).subscribe(registration, { content: showsText ? 'full' : 'sender', locale })
}

export async function stopPushes(auth: Auth): Promise<void> {
  const registration = await registrationHere()
  if (registration)
    await pushes(auth)
      .unsubscribe(registration)
      .catch(() => undefined)
}
