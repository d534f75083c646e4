import type { Command } from '../protocol/commands.ts'
import type { ConversationsReply, ErrorReply, HistoryReply, SyncReply } from '../protocol/events.ts'
import type { Clock } from './clock.ts'
import { isForNow } from './errors.ts'
import type { Link } from './link.ts'
import { Patience } from './patience.ts'
import { Pause } from './pause.ts'
import type { Received } from './wire.ts'

/** As many as the server reads for one connection at a time. */
const MAX_ASKED = 4

export type Question = Extract<Command, { type: 'history' | 'conversations' | 'sync' }>
export type Answer = HistoryReply | ConversationsReply | SyncReply | ErrorReply
interface Waiting {
  readonly question: Question
  /** `undefined`: the connection was lost. */
  readonly answered: (answer: Answer | undefined) => void
  at: number
}

/**
 * Questions to the server, each with its answer. A few at a time; the rest wait for their turn. One that is refused for now is
 * asked again, and the others wait with it.
 */
export class Requests {
  readonly #clock: Clock
  readonly #link: Link
  readonly #asked = new Map<string, Waiting>()
  readonly #pause: Pause
  readonly #patience: Patience
  #waiting: Waiting[] = []
  #count = 0

  constructor(clock: Clock, random: () => number, link: Link) {
    this.#clock = clock
    this.#link = link
    this.#pause = new Pause({ clock, random, link }, () => this.#next())
    this.#patience = new Patience(clock, link, () => [...this.#asked.values()][0]?.at)
  }

  ask(question: Question, answered: (answer: Answer | undefined) => void): void {
    this.#waiting.push({ question, answered, at: 0 })
    this.#next()
  }

  /** Whether the event was the answer to a question. */
  received(event: Received): boolean {
    const ref = 'ref' in event ? String(event.ref) : ''
    const waiting = this.#asked.get(ref)
    if (!waiting) return false
    this.#asked.delete(ref)
    if (event.type === 'error' && isForNow(event)) {
      this.#waiting.unshift(waiting)
      this.#pause.refused(event.retry_after_ms)
    } else {
      this.#pause.passed()
      waiting.answered(event as Answer)
    }
    this.#next()
    return true
  }

  lost(): void {
    const all = [...this.#asked.values(), ...this.#waiting]
    this.#asked.clear()
    this.#waiting = []
    this.#pause.clear()
    this.#patience.end()
    for (const { answered } of all) answered(undefined)
  }

  #next(): void {
    const now = this.#clock.now()
    while (this.#asked.size < MAX_ASKED) {
      if (this.#waiting.length > 0 && this.#pause.isOn) return
      const waiting = this.#waiting.shift()
      if (!waiting) return
      this.#count += 1
      const ref = `q${this.#count}`
      if (this.#link.send({ ...waiting.question, ref })) {
        this.#asked.set(ref, Object.assign(waiting, { at: now }))
        this.#patience.begin()
      } else waiting.answered(undefined)
    }
  }
}
