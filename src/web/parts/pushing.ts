import { systemClock } from '../../client/clock.ts'
import { addressesOf, Credentials } from '../../client/credentials.ts'
import type { Fetch } from '../../client/environment.ts'
import { type Push, pushOver } from '../../client/push-subscription.ts'
import { Rest } from '../../client/rest.ts'
import type { Auth } from '../../client/types.ts'
import type { Notifying } from './notifying.ts'
import { server, socketUrl } from './server.ts'

/** Notifications while no page is open, for whoever is here by whatever way. */
function pushes(auth: Auth, fetch?: Fetch): Push {
  const addresses = addressesOf(socketUrl())
  const credentials = new Credentials(auth, addresses, { clock: systemClock(), fetch })
  return pushOver(new Rest(addresses.http, credentials, fetch))
}

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

/** Ends them here first: what the server cannot be told now, the push service tells it. */
export async function stopPushes(auth: Auth, fetch?: Fetch): Promise<void> {
  const registration = await registrationHere()
  if (registration)
    await pushes(auth, fetch)
      .unsubscribe(registration)
      .catch(() => undefined)
}
