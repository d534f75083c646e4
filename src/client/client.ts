import type { Welcome } from '../protocol/events.ts'
import type { UserId } from '../protocol/message.ts'
import { Acks } from './acks.ts'
import { Arrivals } from './arrivals.ts'
import { systemClock } from './clock.ts'
import type { Connection } from './connection.ts'
import { Conversations } from './conversations.ts'
import { type Core, Logs, Session } from './core.ts'
import { addressesOf, Credentials } from './credentials.ts'
import { host, remembered, type SocketConstructor } from './environment.ts'
import { ChatError } from './errors.ts'
import { Events } from './events.ts'
import { idMaker } from './ids.ts'
import { Link, type LinkListener } from './link.ts'
import type { Keeper, KeeperOptions } from './memory-storage.ts'
import { PageWatch } from './page-watch.ts'
import { People } from './people.ts'
import { Requests } from './requests.ts'
import { Rest } from './rest.ts'
import { Sender } from './sender.ts'
import { Standing } from './standing.ts'
import type { StorageDriver } from './storage.ts'
import { Cell, Notifier } from './stores.ts'
import { Sync } from './sync.ts'
import type { TabMessage, Tabs } from './tabs.ts'
import type { ClientOptions, Status, StorageState } from './types.ts'
import type { Received } from './wire.ts'

type Wired = ClientOptions & { readonly storage: StorageDriver }
/** What a client in memory does without. */
export interface Surroundings {
  /** Whether another client can take up what is kept. */
  readonly isLasting: boolean
  keep(name: string, options: KeeperOptions): Keeper
  meet?(name: string, heard: (message: TabMessage) => void): Tabs
}

/** The parts of one client, and what each frame means to them. */
export class Engine implements LinkListener {
  readonly core: Core
  readonly status: Cell<Status>
  readonly storage: Cell<StorageState>
  readonly sender: Sender
  readonly people: People
  readonly conversations: Conversations
  readonly sync: Sync
  readonly acks: Acks
  readonly rest: Rest
  readonly arrivals: Arrivals
  readonly #driver: StorageDriver
  readonly #around: Surroundings
  readonly #page: PageWatch
  readonly #standing: Standing
  readonly #memory: string
  readonly #tab: string
  #opened: Promise<void> = Promise.resolve()
  readonly #ended = new AbortController()

  constructor(options: Wired, around: Surroundings) {
    this.#around = around
    const { clock = systemClock(), random = Math.random, logger, fetch } = options
    const warn = (message: string, error?: unknown): void => logger?.warn(message, error)
    const notifier = new Notifier(clock.paint ?? clock.soon, (error) =>
      logger ? warn('a listener has thrown', error) : report(error),
    )
    const addresses = addressesOf(options.url)
    this.#driver = options.storage
    this.#memory = `messaging-server-client ${addresses.http}`
    const session = new Session(clock.soon)
    const credentials = new Credentials(options.auth, addresses, { clock, fetch })
    const WebSocket = socketOf(options)
    const link = new Link({ addresses, credentials, WebSocket, fetch, clock, random, listener: this, warn })
    const requests = new Requests(clock, random, link)
    const logs = new Logs(() => session.userId)
    const events = new Events(notifier)
    this.core = { clock, random, notifier, events, link, requests, credentials, logs, warn, session }
    this.status = new Cell<Status>(notifier, { state: 'idle', attempt: 0 })
    this.storage = new Cell<StorageState>(notifier, { kind: 'opening' })
    this.rest = new Rest(addresses.http, credentials, fetch)
    this.#standing = new Standing(this.core)
    this.people = new People(this.core, this.rest, this.#standing)
    this.acks = new Acks(this.core)
    const makeId = idMaker(clock.wall)
    this.#tab = makeId()
    this.sender = new Sender({
      ...{ core: this.core, tab: this.#tab, makeId, window: options.window ?? 1, ended: this.ended },
      stored: (message) => this.arrivals.message(message, false),
      changed: (other) => this.conversations.changed(other),
    })
    this.sync = new Sync({
      ...{ core: this.core, acks: this.acks, isVisible: () => link.state.isVisible },
      apply: (log, applied) => this.arrivals.applied(log, applied),
      judged: (log, isSame) => this.arrivals[isSame ? 'verified' : 'reset'](log),
    })
    const parts = { core: this.core, people: this.people, sender: this.sender, sync: this.sync, acks: this.acks }
    this.#page = new PageWatch(this.core, this.#standing, this)
    this.conversations = new Conversations({ ...parts, isAttended: () => this.#page.isAttended() })
    this.arrivals = new Arrivals({ ...parts, conversations: this.conversations })
    session.gather = () => this.arrivals.gather()
    logs.changed = (log) => this.conversations.changed(log.with)
    this.#begin(options.expectedUserId)
  }

  #begin(expected: UserId | undefined): void {
    this.storage.subscribe(() => this.core.events.emit('storage', this.storage.get()))
    const { credentials } = this.core
    const userId = credentials.userId ?? expected ?? remembered(this.#memory)
    if (userId !== undefined) this.#opened = this.#open(userId)
    void this.#opened.then(() => {
      if (!this.ended.aborted) this.#page.start()
      this.connect()
    })
  }

  /** Aborted once the client has been left: from then on it does nothing by itself, whatever was under way. */
  get ended(): AbortSignal {
    return this.#ended.signal
  }

  connect(): void {
    if (!this.ended.aborted) this.core.link.step({ type: 'start' })
  }

  /** Takes up what this user has kept here. */
  async #open(userId: UserId): Promise<void> {
    const { session, logs, clock, credentials, warn } = this.core
    session.userId = userId
    const name = `${this.#memory} ${userId}`
    const vault = this.#around.keep(name, { driver: this.#driver, clock, state: this.storage, warn })
    session.vault = vault
    const tabs = this.#around.meet?.(name, (message) => this.#heard(message))
    session.tabs = tabs
    credentials.tabs = tabs
    tabs?.live(this.#tab)
    this.conversations.drafts.take(`${name} drafts`)
    const kept = await vault.open()
    if (session.vault !== vault) return
    for (const { key, value } of kept.meta) {
      if (key === 'maxContentBytes') session[key] = Number(value)
      else if (key === 'since' || key === 'epoch') session[key] = value
    }
    for (const row of kept.conversations) {
      try {
        logs.of(row.with).restore(row, session.epoch)
      } catch (error) {
        warn('fetched again', error)
        logs.of(row.with).reset()
      }
    }
    this.conversations.restore(kept.drafts)
    await this.sender.restore(kept.outbox)
  }

  /** `isKept`: whether what waits stays in the storage. `isHeard`: another tab has logged out. */
  async leave(isKept: boolean, isHeard = false): Promise<void> {
    const { session, link, logs } = this.core
    this.#ended.abort()
    this.acks.flush()
    session.commit()
    const { vault, tabs } = session
    link.stop('closed')
    this.#page.stop()
    this.#forget(isKept)
    if (isKept) await vault?.close()
    else {
      if (!isHeard) tabs?.say({ type: 'logout' })
      remembered(this.#memory, null)
      await vault?.destroy()
    }
    tabs?.close()
    logs.clear()
  }

  #forget(isKept: boolean): void {
    const { session, logs } = this.core
    this.sender.close(isKept && session.vault !== undefined && this.#around.isLasting)
    this.sync.lost()
    this.acks.clear()
    this.people.clear()
    this.#standing.clear()
    logs.clear()
    this.conversations.clear()
    session.clear()
    this.core.credentials.tabs = undefined
  }

  received(event: Received): void {
    const { requests } = this.core
    switch (event.type) {
      case 'welcome':
        return this.#welcomed(event)
      case 'message':
        return this.arrivals.message(event, true)
      case 'unknown':
        return this.arrivals.counted(event.with, event.seq)
      case 'sent':
        return this.sender.sent(event)
      case 'receipt':
        return this.conversations.receipt(event)
      case 'synced':
        this.sync.synced(event)
        return void this.sender.orphans.adopt()
      case 'error':
        if (requests.received(event) || this.acks.refused(event) || this.#standing.refused(event)) return
        if (this.sender.refused(event)) return
        return this.core.warn(`the server refused a command: ${event.code}`, event)
      default:
        if (!requests.received(event)) this.people.received(event)
    }
  }

  woke = (): void => this.sync.woke()
  attended = (): void => this.conversations.attended()

  /** The page goes, perhaps for good. */
  left(): void {
    this.acks.flush()
    this.conversations.drafts.left()
  }

  sliceDone(): void {
    this.sync.holes.check()
    this.core.session.commit()
  }

  closed(code: number): void {
    const { requests } = this.core
    requests.lost()
    this.sync.lost()
    this.sender.lost(code)
    this.people.lost()
  }

  changed({ phase, until, attempt, why, isOnline }: Connection): void {
    const { clock, events } = this.core
    const state = phase === 'waiting' && !isOnline ? 'offline' : phase
    const status: Status = {
      ...{ state, attempt },
      ...(until !== undefined && { until: clock.wall() + until - clock.now() }),
      ...(why !== undefined && { why }),
    }
    this.status.set(status)
    events.emit('status', status)
  }

  #welcomed(welcome: Welcome): void {
    const { session, link } = this.core
    const { user_id, max_content_bytes } = welcome
    const ready = (): void => {
      if (this.ended.aborted) return
      if (max_content_bytes) session.limit(max_content_bytes)
      // Nothing is said of a line of history that is not the server's any more.
      this.sync.welcome(welcome)
      this.acks.again()
      this.sender.welcome()
      this.#standing.welcome()
      this.#page.tell()
    }
    if (session.userId === user_id && session.vault) return ready()
    // Another user than the one of last time, or the first one here.
    if (session.vault) {
      session.commit()
      session.tabs?.close()
      void session.vault.close()
      this.#forget(true)
    }
    if (!this.core.credentials.userId) remembered(this.#memory, user_id)
    this.#opened = this.#open(user_id)
    void link.hold(this.#opened.then(ready))
  }

  #heard(message: TabMessage): void {
    if (message.type === 'token') this.core.credentials.share(message.token)
    else if (message.type === 'outbox') this.sender.heard(message)
    else if (message.type === 'draft') this.conversations.drafts.heard(message.with, message.text)
    else {
      const { userId: user_id } = this.core.session
      void this.leave(false, true).then(() => this.core.events.emit('logout', { user_id }))
    }
  }
}

function socketOf({ WebSocket }: ClientOptions): SocketConstructor {
  const found = (WebSocket as SocketConstructor | undefined) ?? host().WebSocket
  if (!found)
    throw new ChatError({
      code: 'invalid_request',
      message: 'No WebSocket here. Pass the one of the package ws.',
    })
  return found
}

/** As an uncaught error, not into the socket that brought the frame. */
const report = (error: unknown): void => void Promise.reject(error)
