import type { UserId } from '../protocol/message.ts'
import type { Core } from './core.ts'
import type { Rest } from './rest.ts'
import type { Standing } from './standing.ts'
import { Cell, type Store } from './stores.ts'
import type { Presence, User } from './types.ts'
import type { Received } from './wire.ts'

const UNKNOWN: Presence = { status: 'unknown' }
const TYPING_ENDS_MS = 6000
const TYPING_EVERY_MS = 3000
const MAX_IDS = 100
const GATHER_MS = 10

interface Person {
  readonly presence: Cell<Presence>
  readonly typing: Cell<boolean>
  readonly user: Cell<User | undefined>
  /** Cancels the end of their typing. */
  goesOn: (() => void) | undefined
  /** When this client last said that it is typing to this person. */
  toldTypingAt: number
}

/** The other people: their names, their presence, and whether they are typing. */
export class People {
  readonly #core: Core
  readonly #rest: Rest
  readonly #standing: Standing
  readonly #all = new Map<UserId, Person>()
  /** Several questions of one moment are one request. */
  #asking: { readonly ids: Set<UserId>; readonly found: Promise<ReadonlyMap<UserId, User>> } | undefined

  constructor(core: Core, rest: Rest, standing: Standing) {
    this.#core = core
    this.#rest = rest
    this.#standing = standing
  }

  presence(id: UserId): Store<Presence> {
    return this.#of(id).presence
  }

  typing(id: UserId): Store<boolean> {
    return this.#of(id).typing
  }

  /** What is known of a user; asked for when somebody first watches it. */
  user(id: UserId): Store<User | undefined> {
    return this.#of(id).user
  }

  /** `undefined` when there is no such user. */
  get(id: UserId): Promise<User | undefined> {
    const known = this.#all.get(id)?.user.get()
    if (known) return Promise.resolve(known)
    if (!this.#asking || this.#asking.ids.size >= MAX_IDS) {
      const ids = new Set<UserId>()
      const gathered = new Promise<void>((resolve) => void this.#core.clock.after(GATHER_MS, resolve))
      this.#asking = { ids, found: gathered.then(() => this.#look(ids)) }
    }
    this.#asking.ids.add(id)
    return this.#asking.found.then((found) => found.get(id))
  }

  search(text: string, options?: { readonly signal?: AbortSignal }): Promise<readonly User[]> {
    return this.#users(`search=${encodeURIComponent(text)}`, options)
  }

  /** Some of those who are connected, by name. */
  async online(signal?: AbortSignal): Promise<readonly UserId[]> {
    return (await this.#rest.call<{ online_users: UserId[] }>('GET', '/api/online_users?limit=100', { signal }))
      .online_users
  }

  /** Tells the other person at most once in three seconds, and at once when it ends. */
  tell(id: UserId, active: boolean): void {
    const person = this.#of(id)
    const { clock, link } = this.#core
    const now = clock.now()
    if (now < link.pausedUntil) return
    if (active ? now - person.toldTypingAt < TYPING_EVERY_MS : person.toldTypingAt === Number.NEGATIVE_INFINITY) return
    person.toldTypingAt = active ? now : Number.NEGATIVE_INFINITY
    link.send({ type: 'typing', receiver_id: id, active })
  }

  received(event: Received): void {
    if (event.type === 'presence') {
      const { type: _, user_id, ...presence } = event
      this.#of(user_id).presence.set(presence)
    } else if (event.type === 'typing') this.#typed(event.sender_id, event.active)
    else if (event.type === 'user_changed') {
      const { type: _, ...user } = event
      const known = this.#of(user.user_id).user
      known.set({ ...known.get(), ...user })
    }
  }

  /** A message of this person ends what they were typing. */
  wrote(id: UserId): void {
    if (this.#all.get(id)?.typing.get()) this.#typed(id, false)
  }

  lost(): void {
    for (const [id, person] of this.#all) {
      person.presence.set(UNKNOWN)
      person.toldTypingAt = Number.NEGATIVE_INFINITY
      if (person.typing.get()) this.#typed(id, false)
    }
  }

  clear(): void {
    this.lost()
    for (const person of this.#all.values()) person.user.set(undefined)
  }

  #of(id: UserId): Person {
    let person = this.#all.get(id)
    if (!person) {
      const { notifier } = this.#core
      person = {
        presence: new Cell<Presence>(notifier, UNKNOWN, (is) => this.#watch(id, is)),
        typing: new Cell(notifier, false),
        user: new Cell<User | undefined>(notifier, undefined, (is) => {
          if (is) this.get(id).catch((error: unknown) => this.#core.warn('not read', error))
        }),
        goesOn: undefined,
        toldTypingAt: Number.NEGATIVE_INFINITY,
      }
      this.#all.set(id, person)
    }
    return person
  }

  #watch(id: UserId, is: boolean): void {
    this.#standing.watch(id, is)
    if (!is) this.#of(id).presence.set(UNKNOWN)
  }

  #typed(id: UserId, active: boolean): void {
    const person = this.#of(id)
    person.goesOn?.()
    person.goesOn = active ? this.#core.clock.after(TYPING_ENDS_MS, () => this.#typed(id, false)) : undefined
    if (person.typing.get() !== active) this.#core.events.emit('typing', { user_id: id, active })
    person.typing.set(active)
  }

  async #look(ids: ReadonlySet<UserId>): Promise<ReadonlyMap<UserId, User>> {
    if (this.#asking?.ids === ids) this.#asking = undefined
    const list = [...ids].map(encodeURIComponent).join(',')
    return new Map((await this.#users(`ids=${list}`)).map((user) => [user.user_id, user]))
  }

  async #users(query: string, options?: { readonly signal?: AbortSignal }): Promise<readonly User[]> {
    const { users } = await this.#rest.call<{ users: readonly User[] }>('GET', `/api/users?${query}`, options)
    for (const user of users) this.#of(user.user_id).user.set(user)
    return users
  }
}
