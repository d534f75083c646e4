import type { Core } from './core.ts'
import { type Entry, isAside, stateLeft } from './outbox.ts'
import type { Queues } from './queues.ts'

/** What another tab says it sends is taken over after so long where it cannot be known whether that tab is gone. */
const UNSURE_MS = 30_000

interface OrphansOptions {
  readonly core: Core
  readonly tab: string
  readonly queues: Queues
  /** Its owner, this tab or another, sends the message from now on. */
  readonly take: (entry: Entry) => void
  readonly taken: () => void
}

/** Messages that other tabs send, for as long as those are there. */
export class Orphans {
  readonly #options: OrphansOptions
  /** Tabs whose end is waited for. */
  readonly #followed = new Set<string>()

  constructor(options: OrphansOptions) {
    this.#options = options
  }

  /**
   * Takes over at once what tabs have left that are gone, and of the others when they go. Where that cannot be known a tab that starts
   * or connects takes all over: a living tab that sends as well does no harm, because a message keeps its id.
   */
  async adopt(): Promise<void> {
    const { core, tab, queues, taken } = this.#options
    const owners = new Set(queues.entries().map(({ owner }) => owner))
    owners.delete(tab)
    for (const owner of owners) {
      if ((await core.session.tabs?.isGone(owner)) === false) this.follow(owner)
      else this.#takeOver(owner)
    }
    taken()
  }

  /**
   * What another tab says of a message that it sends. Where several have taken over the same one, and each hears of the others, one of
   * them has to go on: the one whose name comes first.
   */
  heard(entry: Entry): void {
    const { tab, queues } = this.#options
    const own = queues.find(entry.id)
    const isOwn = own?.owner === tab
    if (own && !isAside(own.state)) {
      if ((isOwn || own.from === entry.from) && own.owner < entry.owner) return
      // Who takes over one message of a tab that is gone takes over all: in two hands they would overtake each other.
      if (!isOwn && own.owner === entry.from) this.#takeOver(entry.from, entry.owner)
    }
    queues.put({ ...entry, isYielded: isOwn || own?.isYielded })
    this.follow(entry.owner)
  }

  /** Where it cannot be known when a tab goes, it is taken for gone after a while: tabs that race are harmless. */
  follow(owner: string): void {
    const { core, tab, taken } = this.#options
    if (owner === tab || this.#followed.has(owner)) return
    this.#followed.add(owner)
    const unsure = (resolve: () => void): unknown => core.clock.after(UNSURE_MS, resolve)
    void (core.session.tabs?.whenGone(owner) ?? new Promise<void>(unsure)).then(() => {
      this.#followed.delete(owner)
      this.#takeOver(owner)
      taken()
    })
  }

  #takeOver(owner: string, by = this.#options.tab): void {
    const { queues, take } = this.#options
    for (const entry of queues.entries())
      if (entry.owner === owner) take({ ...entry, owner: by, from: owner, state: stateLeft(entry) })
  }
}
