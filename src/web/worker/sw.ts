// The service worker: the page starts without the server, new versions wait until the person takes them, and notifications are
// shown while no page is open. Built by itself into one script, `/sw.js`.
import { isOfSame } from '../parts/notifying.ts'
import { pushes } from '../parts/pushing.ts'

/** Of the platform, what is used: the types of pages and of workers exclude each other. */
interface Worker extends EventTarget {
  readonly location: Location
  readonly registration: ServiceWorkerRegistration
  readonly navigator: Navigator
  readonly clients: {
    claim(): Promise<void>
    matchAll(options: { type: 'window'; includeUncontrolled: boolean }): Promise<readonly WindowClient[]>
    openWindow(url: string): Promise<unknown>
  }
  skipWaiting(): Promise<void>
}
interface WindowClient {
  readonly focused: boolean
  focus(): Promise<unknown>
  postMessage(message: unknown, ports?: readonly MessagePort[]): void
}
interface Lasting extends Event {
  waitUntil(task: Promise<unknown>): void
}
type FetchLike = Lasting & { readonly request: Request; respondWith(answer: Promise<Response>): void }
type PushLike = Lasting & { readonly data: { json(): unknown } | null }
type ClickLike = Lasting & { readonly notification: Notification }

/** Put in by the build: which build it is, what is kept of it, and which addresses show the page. */
declare const BUILD: string
declare const FILES: readonly string[]
declare const PAGES: readonly string[]

const worker = globalThis as unknown as Worker
const PREFIX = 'page '
const CACHE = PREFIX + BUILD

function on<Event extends Lasting>(name: string, task: (event: Event) => Promise<unknown>): void {
  worker.addEventListener(name, (event) => (event as Event).waitUntil(task(event as Event)))
}

on('install', async () => {
  const cache = await caches.open(CACHE)
  // What browsers keep by themselves may be of another build, except under names that never change.
  await cache.addAll(
    FILES.map((path) => new Request(path, { cache: path.startsWith('/assets/') ? 'default' : 'reload' })),
  )
})

on('activate', async () => {
  const names = await caches.keys()
  await Promise.all(
    names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)),
  )
  await worker.clients.claim()
})

on<MessageEvent & Lasting>('message', async ({ data }) => {
  if (data === 'take over') await worker.skipWaiting()
})

worker.addEventListener('fetch', (event) => {
  const { request } = event as FetchLike
  const path = keptAs(request)
  if (path !== undefined) (event as FetchLike).respondWith(fromCache(path, request))
})

/** Under which path the answer is kept; undefined for what is asked of the server, as a file with a query is. */
function keptAs({ method, mode, url }: Request): string | undefined {
  const { origin, pathname, search } = new URL(url)
  if (method !== 'GET' || origin !== worker.location.origin) return undefined
  if (mode === 'navigate') return isPage(pathname) ? '/' : undefined
  return search === '' && FILES.includes(pathname) ? pathname : undefined
}

function isPage(path: string): boolean {
  return (
    path === '/' || PAGES.some((page) => (page.endsWith('/*') ? path.startsWith(page.slice(0, -1)) : path === page))
  )
}

async function fromCache(path: string, request: Request): Promise<Response> {
  const cache = await caches.open(CACHE)
  return (await cache.match(path)) ?? fetch(request)
}

/** What the server pushes; the first form is that of declarative web push. */
interface Pushed {
  readonly kind?: string
  readonly tag?: string
  /** The other person of the conversation. */
  readonly with?: string
  readonly seq?: number
  readonly badge?: number
  readonly app_badge?: number
  readonly notification?: {
    readonly title: string
    readonly body: string
    readonly navigate: string
    readonly tag: string
    readonly lang?: string
    /** The one who is told. */
    readonly data?: { readonly of?: string }
  }
}

on<PushLike>('push', async ({ data }) => {
  const pushed = readPush(data)
  await setBadge(pushed.app_badge ?? pushed.badge)
  if (pushed.kind === 'clear' && pushed.tag !== undefined) return closeAll(pushed.tag)
  // Browsers end the subscription of a worker that shows nothing.
  const { title, body, navigate, tag, lang } = pushed.notification ?? UNREADABLE
  const path = new URL(navigate, worker.location.href).pathname
  const about = { path, with: pushed.with, of: pushed.notification?.data?.of, seq: pushed.seq }
  const shown = await worker.registration.getNotifications()
  const isKnown = shown.some((one) => one.tag === tag && (one.data?.seq ?? -1) >= (pushed.seq ?? 0))
  await worker.registration.showNotification(title, {
    ...{ body, tag, icon: '/icon-192.png', badge: '/icon-192.png', data: about },
    // In place of an older one it is heard as well, unless a push service has brought the same one twice.
    ...{ renotify: !isKnown },
    ...(lang !== undefined && { lang }),
  })
  // A page that was open until now has told of the same conversation by a tag of its own.
  for (const one of shown) if (one.tag !== tag && isOfSame(one.data ?? {}, about)) one.close()
})

/** What is not understood is shown all the same. */
const UNREADABLE = { title: worker.location.host, body: '', navigate: '/', tag: 'unreadable', lang: undefined }

function readPush(data: PushLike['data']): Pushed {
  try {
    return (data?.json() ?? {}) as Pushed
  } catch {
    return {}
  }
}

async function closeAll(tag: string): Promise<void> {
  const shown = await worker.registration.getNotifications({ tag })
  for (const notification of shown) notification.close()
}

async function setBadge(count: number | undefined): Promise<void> {
  if (count !== undefined) await worker.navigator.setAppBadge?.(count).catch(() => undefined)
}

/**
 * A browser may exchange its subscription at any time. Open pages declare the new one, as whoever they are of. Without one the
 * cookie of a session does; on a server without sessions the next page that is opened.
 */
on('pushsubscriptionchange', async () => {
  const pages = await worker.clients.matchAll({ type: 'window', includeUncontrolled: true })
  for (const page of pages) page.postMessage({ type: 'declare' })
  if (pages.length > 0) return
  const { registration, navigator } = worker
  await pushes({ session: true })
    .subscribe(registration, { locale: navigator.language })
    .catch(() => undefined)
})

on<ClickLike>('notificationclick', async ({ notification }) => {
  notification.close()
  const { path = '/', of } = (notification.data ?? {}) as { path?: string; of?: string }
  const pages = await worker.clients.matchAll({ type: 'window', includeUncontrolled: true })
  const isTheirs = await Promise.all(pages.map((page) => belongsTo(page, of)))
  const theirs = pages.filter((_, index) => isTheirs[index])
  const page = theirs.find(({ focused }) => focused) ?? theirs[0]
  if (!page) return worker.clients.openWindow(path)
  page.postMessage({ type: 'open', path })
  await page.focus()
})

/** A page that does not answer is going away. Firefox lets a worker open and focus tabs for a second after a press. */
const ANSWER_MS = 300

/** Without sign-in the tabs of one browser are of several people, and a conversation is to be opened as the right one. */
async function belongsTo(page: WindowClient, of: string | undefined): Promise<boolean> {
  const { port1, port2 } = new MessageChannel()
  const answer = new Promise<unknown>((resolve) => {
    port1.onmessage = ({ data }) => resolve(data)
    setTimeout(resolve, ANSWER_MS)
  })
  page.postMessage({ type: 'who' }, [port2])
  const who = await answer
  return who !== undefined && (of === undefined || who === of)
}
