import { useEffect } from 'react'
import type { Client, Message } from '../../client/index.ts'
import { calmed } from '../parts/calm.ts'
import { identity } from '../parts/identity.ts'
import { isOfSame, notifying, whyNoNotifications } from '../parts/notifying.ts'
import { declareAgain } from '../parts/pushing.ts'
import { chatPath, navigate } from '../parts/route.ts'
import { t } from '../texts/index.ts'
import { mayDeclare, present } from './session.ts'

/** Held by every tab of a person that somebody looks at, and by the one that notifies. Without sign-in, tabs are of several people. */
const looking = ({ userId }: Client): string => `messaging looking ${userId}`
const notifyingFor = ({ userId }: Client): string => `messaging notifying ${userId}`
const MAX_TEXT_LENGTH = 300
/** To ask what is shown takes the browser some milliseconds. */
const LOOK_EVERY_MS = 1000

/** Tells of new messages while nobody looks at any tab, once for all tabs; and no longer when they have been read. */
export function useNotifier(client: Client): void {
  useEffect(() => {
    // Without these there are no notifications either: both are for secure origins.
    if (!navigator.locks || typeof Notification === 'undefined') return
    const ended = new AbortController()
    const { signal } = ended
    void navigator.locks
      .request(notifyingFor(client), { signal }, () => {
        tellAsItComes(client, signal)
        return new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      })
      .catch(() => undefined)
    for (const store of [calmed<unknown>(client.conversations, LOOK_EVERY_MS), client.status])
      signal.addEventListener(
        'abort',
        store.subscribe(() => void closeRead(client)),
      )
    holdWhileLookedAt(looking(client), signal)
    navigator.serviceWorker?.addEventListener('message', (event) => heed(client, event), { signal })
    client.on('epoch', declareHere, { signal })
    const { userId } = client
    return () => {
      ended.abort()
      // In another language it is the same person.
      if (present.get() !== client) void closeShown(userId, () => true)
    }
  }, [client])
}

/**
 * What had come before this page was there stands in the list as unread, and was told when it came. Of what came while the
 * connection was away the last of each conversation is told.
 */
function tellAsItComes(client: Client, signal: AbortSignal): void {
  const isLive = (): boolean => client.status.get().state === 'live'
  let wasLive = isLive()
  const missed = new Map<string, Message>()
  const hear = (message: Message): void => {
    if (isLive()) void tell(client, message)
    else if (wasLive) missed.set(message.sender_id, message)
  }
  const catchUp = (): void => {
    if (!isLive()) return
    wasLive = true
    for (const message of missed.values()) void tell(client, message)
    missed.clear()
  }
  client.on('message', hear, { signal })
  signal.addEventListener('abort', client.status.subscribe(catchUp))
}

/**
 * The worker, where somebody has pressed a notification, asks whose page this is, and has the page of the right one open it. And it
 * says when the browser has exchanged its subscription.
 */
function heed({ userId }: Client, { data, ports }: MessageEvent): void {
  if (data?.type === 'who') ports[0]?.postMessage(userId)
  else if (data?.type === 'open' && typeof data.path === 'string') navigate(data.path)
  else if (data?.type === 'declare') declareHere()
}

function declareHere(): void {
  const auth = identity.get()
  if (auth && mayDeclare()) void declareAgain(auth)
}

function holdWhileLookedAt(name: string, signal: AbortSignal): void {
  let release: (() => void) | undefined
  const look = (): void => {
    const isLookedAt = !signal.aborted && document.visibilityState === 'visible' && document.hasFocus()
    if (!isLookedAt) {
      release?.()
      release = undefined
    } else if (!release) {
      const away = new Promise<void>((resolve) => {
        release = resolve
      })
      void navigator.locks.request(name, { mode: 'shared' }, () => away)
    }
  }
  for (const event of ['focus', 'blur']) addEventListener(event, look, { signal })
  document.addEventListener('visibilitychange', look, { signal })
  signal.addEventListener('abort', look)
  look()
}

/** So long after the last one of a conversation the next is heard, and not only seen: what comes in a burst is one thing. */
const QUIET_MS = 10_000
const heardAt = new Map<string, number>()

async function tell(client: Client, { sender_id, content }: Message): Promise<void> {
  const { isOn, showsText } = notifying.get()
  if (!isOn || whyNoNotifications() !== undefined || sender_id === client.userId) return
  const { held = [] } = await navigator.locks.query()
  if (held.some(({ name }) => name === looking(client))) return
  const sender = client.user(sender_id).get()?.display_name ?? sender_id
  const path = chatPath(sender_id)
  const tag = `${client.userId} ${sender_id}`
  const renotify = Date.now() - (heardAt.get(tag) ?? 0) >= QUIET_MS
  if (renotify) heardAt.set(tag, Date.now())
  const options = {
    ...{ tag, renotify, icon: '/icon-192.png' },
    data: { path, with: sender_id, of: client.userId },
    body: showsText ? content.slice(0, MAX_TEXT_LENGTH) : t('notify.new'),
  }
  const registration = await navigator.serviceWorker?.getRegistration()
  if (registration?.active) {
    // One that was pushed while no page was open has a tag that the server has made.
    for (const one of await registration.getNotifications())
      if (one.tag !== tag && isOfSame(one.data ?? {}, options.data)) one.close()
    return registration.showNotification(sender, options)
  }
  const notification = new Notification(sender, options)
  notification.addEventListener('click', () => {
    focus()
    navigate(path)
    notification.close()
  })
}

/** What was shown when the page was closed is not read because the list has not come yet: only a list of now says so. */
async function closeRead(client: Client): Promise<void> {
  if (client.status.get().state !== 'live') return
  const unread = (other: string): number | undefined =>
    client.conversations.get().find((item) => item.with === other)?.unread
  await closeShown(client.userId, (other) => unread(other) === 0)
}

/** Those that are for this person, of some conversations. */
async function closeShown(userId: string, isOver: (other: string) => boolean): Promise<void> {
  const registration = await navigator.serviceWorker?.getRegistration()
  for (const notification of (await registration?.getNotifications()) ?? []) {
    const { with: other, of = userId } = (notification.data ?? {}) as { with?: string; of?: string }
    if (of === userId && other !== undefined && isOver(other)) notification.close()
  }
}
