import type { Message, UserId } from '../protocol/message.ts'
import type { Core } from './core.ts'
import { Handles } from './handles.ts'
import { type Entry, isAside, type QueueEvent, queueAfter } from './outbox.ts'
import { failure, put, statusOf } from './outbox-rows.ts'
import { Queues } from './queues.ts'
import type { Outcome } from './types.ts'

interface WaitingOptions {
  readonly core: Core
  readonly tab: string
  /** What waits in this conversation has changed. */
  readonly changed: (other: UserId) => void
}

/** The messages that wait: whatever changes of one is kept, told to its sender, and to the other tabs. */
export class Waiting {
  readonly #core: Core
  readonly #tab: string
  readonly #saved: () => void
  readonly queues: Queues
  readonly handles: Handles

  /** `saved`: one more may be written now. */
  constructor({ core, tab, changed }: WaitingOptions, saved: () => void) {
    this.#core = core
    this.#tab = tab
    this.#saved = saved
    this.queues = new Queues(changed)
    this.handles = new Handles(core.notifier)
  }

  save(entry: Entry): void {
    const { session, link } = this.#core
    if (!session.vault) return
    // What goes out at once is noted in the same transaction.
    const first = this.queues.of(entry.with).find(({ owner, state }) => owner === this.#tab && !isAside(state))
    const isNoted = entry.isNoted || (link.isWelcomed && first?.id === entry.id)
    void session.vault.write([put({ ...entry, isNoted })], true).then(() => {
      this.handles.saved(entry.id)
      this.change(entry.with, { type: 'saved', id: entry.id, isNoted })
      const saved = this.queues.find(entry.id)
      if (!saved) return session.keep({ remove: 'outbox', key: entry.id })
      this.say(saved)
      this.#saved()
    })
  }

  change(other: UserId, event: QueueEvent): void {
    const before = this.queues.of(other)
    const after = queueAfter(before, event)
    if (after === before) return
    this.queues.set(other, after)
    for (const [index, entry] of after.entries()) {
      const old = before[index]
      if (entry === old) continue
      this.handles.status(entry.id, statusOf(entry))
      if (entry.state !== old?.state && isAside(entry.state)) this.#setAside(entry)
    }
  }

  /** It waits for the person now, over reloads too. */
  #setAside(entry: Entry): void {
    this.#core.session.keep(put(entry))
    this.say(entry)
    if (entry.state !== 'failed') return
    const outcome = failure(entry.id, entry.code ?? 'internal', entry.message)
    this.handles.settle(entry.id, outcome)
    this.#core.events.emit('failed', outcome)
  }

  replace(entry: Entry): void {
    this.queues.put(entry)
    this.handles.status(entry.id, statusOf(entry))
    if (entry.owner !== this.#tab) return
    this.#core.session.keep(put(entry))
    this.say(entry)
  }

  remove(entry: Entry, outcome: Outcome, stored?: Message): void {
    const { session } = this.#core
    const { id, with: other } = entry
    this.queues.remove(entry)
    // Stored in a line that is left meanwhile, it may be lost with it, and is sent again; what the person took back is not.
    const line = stored && { epoch: session.epoch }
    session.keep({ remove: 'outbox', key: id, ...line })
    session.tabs?.say({ type: 'outbox', id, with: other, stored, ...line })
    this.handles.settle(id, outcome)
  }

  say(entry: Entry): void {
    this.#core.session.tabs?.say({ type: 'outbox', id: entry.id, with: entry.with, entry })
  }
}
