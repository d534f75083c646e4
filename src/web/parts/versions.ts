import { isJustReloaded } from './reloaded.ts'
import { Value } from './store.ts'

/** Takes the new version and loads the page anew; undefined while this is the newest. */
export const newVersion = new Value<(() => void) | undefined>(undefined)

const SCRIPT = '/sw.js'
/**
 * The page as the server has it now. Without the query the service worker would answer with what it keeps. That of a build before
 * this query may do so all the same, until it is replaced.
 */
const SERVED = '/?served'
const LOOK_EVERY_MS = 3_600_000
/** A worker that does not take over is no reason to stay with the old page. */
const PATIENCE_MS = 1000
const ANSWER_MS = 3000

/** Of Trusted Types (https://www.w3.org/TR/trusted-types/), what is used: scripts may come from this one address. */
interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): { createScriptURL(url: string): string }
}

function trusted(url: string): string {
  const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypes }
  const createScriptURL = (wanted: string): string => {
    if (wanted !== SCRIPT) throw new TypeError('no other script may be loaded')
    return wanted
  }
  return trustedTypes?.createPolicy('app', { createScriptURL }).createScriptURL(url) ?? url
}

/** Keeps the page on this device, where browsers allow it: over https, and on this very machine. */
export async function startVersions(): Promise<void> {
  addEventListener('vite:preloadError', () => void reloadIfReplaced())
  if (!isSecureContext || !navigator.serviceWorker) return
  const workers = navigator.serviceWorker
  const registration = await workers.register(trusted(SCRIPT)).catch(() => undefined)
  if (!registration) return
  const offer = (): void => {
    if (registration.waiting && workers.controller) newVersion.set(() => takeOver(registration))
  }
  const watch = (): void => registration.installing?.addEventListener('statechange', offer)
  offer()
  // It may have been found before this page could listen.
  watch()
  registration.addEventListener('updatefound', watch)
  let lookedAt = Date.now()
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'hidden' || Date.now() - lookedAt < LOOK_EVERY_MS) return
    lookedAt = Date.now()
    void registration.update().catch(() => undefined)
  })
}

/** What is typed and what waits is in the storage: a reload loses nothing. */
function takeOver({ waiting }: ServiceWorkerRegistration): void {
  const reload = (): void => location.reload()
  navigator.serviceWorker.addEventListener('controllerchange', reload, { once: true })
  waiting?.postMessage('take over')
  setTimeout(reload, PATIENCE_MS)
}

/** A part of this build is gone when the server has another one by now. When the network is gone the page stays, and says so. */
async function reloadIfReplaced(): Promise<void> {
  if (isJustReloaded()) return
  const served = await servedBuild()
  const own = document.querySelector('script[type=module]')?.getAttribute('src')
  if (served !== undefined && served !== own) location.reload()
}

/** Whether there is a server to load the page from. */
export const isServed = async (): Promise<boolean> => (await servedBuild()) !== undefined

/** The script that the server's page begins with; undefined when there is no answer, or it is not from this page. */
async function servedBuild(): Promise<string | undefined> {
  try {
    const response = await fetch(SERVED, { cache: 'no-store', signal: AbortSignal.timeout(ANSWER_MS) })
    const [, script] = /<script type="module"[^>]* src="(\/[^"]+)"/.exec(await response.text()) ?? []
    return response.ok ? script : undefined
  } catch {
    return undefined
  }
}
