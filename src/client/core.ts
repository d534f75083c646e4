import type { UserId } from '../protocol/message.ts'
import type { Clock } from './clock.ts'
import { ConversationLog } from './conversation-log.ts'
import type { Credentials } from './credentials.ts'
import type { Events } from './events.ts'
import type { Link } from './link.ts'
import type { Keeper } from './memory-storage.ts'
import type { Requests } from './requests.ts'
import type { Change } from './storage.ts'
import type { Notifier } from './stores.ts'
import type { Tabs } from './tabs.ts'

/** What the parts of one client share. */
export interface Core {
  readonly clock: Clock
  readonly random: () => number
  readonly notifier: Notifier
  readonly events: Events
  readonly link: Link
  readonly requests: Requests
  readonly credentials: Credentials
  readonly logs: Logs
  readonly warn: (message: string, error?: unknown) => void
  /** Of the present user; before it is known who that is, of nobody. */
  readonly session: Session
}

/** What belongs to one user: exchanged as a whole when another one logs in. */
export class Session {
  userId: UserId = ''
  declare vault: Keeper | undefined
  declare tabs: Tabs | undefined
  maxContentBytes = 16_384
  /** Up to when everything was compared with the server, by the server's clock. */
  declare since: string | undefined
  /** The server's line of history; '' until it has said one. */
  epoch = ''
  readonly #soon: (task: () => void) => void
  #changes: Change[] = []
  #saved: (() => void)[] = []
  #isDue = false
  /** Adds what is known only at the end of a slice. */
  gather: () => void = () => undefined

  constructor(soon: (task: () => void) => void) {
    this.#soon = soon
  }

  /** What the server takes, kept for what is typed without a connection. */
  limit(maxContentBytes: number): void {
    if (maxContentBytes === this.maxContentBytes) return
    this.maxContentBytes = maxContentBytes
    this.keep({ put: 'meta', row: { key: 'maxContentBytes', value: String(maxContentBytes) } })
  }

  clear(): void {
    this.vault = this.tabs = this.since = undefined
    this.userId = this.epoch = ''
  }

  /** Kept with everything else that this slice of frames changed, as one transaction. */
  keep(change: Change, saved?: () => void): void {
    this.#changes.push(change)
    if (saved) this.#saved.push(saved)
    this.due()
  }

  /** Something is to be kept, at the latest in the next turn. */
  due(): void {
    if (this.#isDue) return
    this.#isDue = true
    this.#soon(() => this.commit())
  }

  commit(): void {
    const { vault } = this
    if (vault) this.gather()
    this.#isDue = false
    if (!vault) return
    const changes = this.#changes
    const saved = this.#saved
    this.#changes = []
    this.#saved = []
    if (changes.length > 0)
      void vault.write(changes).then(() => {
        for (const tell of saved) tell()
      })
  }
}

/** The conversations of the present user. */
export class Logs {
  readonly #all = new Map<UserId, ConversationLog>()
  readonly #me: () => UserId
  /** A conversation has changed, or a new one has come. */
  changed: (log: ConversationLog) => void = () => undefined

  constructor(me: () => UserId) {
    this.#me = me
  }

  of(other: UserId): ConversationLog {
    const log = this.#all.get(other) ?? new ConversationLog(other, this.#me)
    this.#all.set(other, log)
    return log
  }

  all(): IterableIterator<ConversationLog> {
    return this.#all.values()
  }

  /** They are of nobody any more: whatever is under way for one of them is void. */
  clear(): void {
    for (const log of this.all()) log.line += 1
    this.#all.clear()
  }
}
