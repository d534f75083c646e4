// What a person has written and has no outcome of yet.
import { contentOf, type History } from './history.ts'
import type { Random } from './random.ts'

export interface Pending {
  readonly id: string
  readonly to: string
  /** An attempt is on its way. */
  isOut: boolean
  /** Every attempt so far has failed definitely. */
  isClean: boolean
}

/** Chances that a person does not try again, after a definite failure and after a loss. */
export interface GivesUp {
  readonly afterError: number
  readonly afterLoss: number
}
const SOMETIMES: GivesUp = { afterError: 0.3, afterLoss: 0.02 }

/** Errors after which the server promises that nothing was stored by that attempt. */
const DEFINITE = new Set([
  'invalid_request',
  'invalid_text',
  'unauthorized',
  'forbidden',
  'id_conflict',
  'payload_too_large',
  'rate_limited',
  'overloaded',
  'unavailable',
  'too_many_in_flight',
])
const DEFINITE_STATUS = new Set([400, 401, 403, 409, 413, 429, 503])

export const isDefinite = (code: string | number): boolean =>
  typeof code === 'number' ? DEFINITE_STATUS.has(code) : DEFINITE.has(code)

/** Sends by id; survives connections, and with a history also the process. */
export class Outbox {
  readonly #user: string
  readonly #history: History
  readonly #random: Random
  readonly #givesUp: GivesUp
  readonly #pending = new Map<string, Pending>()

  constructor(user: string, history: History, random: Random, givesUp = SOMETIMES) {
    this.#givesUp = givesUp
    this.#user = user
    this.#history = history
    this.#random = random
  }

  get size(): number {
    return this.#pending.size
  }
  get outCount(): number {
    let count = 0
    for (const { isOut } of this.#pending.values()) if (isOut) count += 1
    return count
  }

  write(to: string, id = this.#random.uuid()): Pending {
    const pending = { id, to, isOut: false, isClean: true }
    this.#pending.set(id, pending)
    return pending
  }

  /** As after a restart: the outcome of the attempts before it is unknown. */
  restore(id: string, to: string): void {
    this.#pending.set(id, { id, to, isOut: false, isClean: false })
  }

  waiting(): Pending[] {
    return [...this.#pending.values()].filter(({ isOut }) => !isOut)
  }

  has(id: string): boolean {
    return this.#pending.has(id)
  }

  /** The text to send; called right before it leaves. */
  attempt(pending: Pending, connection: string): string {
    pending.isOut = true
    this.#history.add({ e: 'invoke', id: pending.id, from: this.#user, to: pending.to, c: connection })
    return contentOf(pending.id)
  }

  stored(id: string, seq: number): void {
    this.#history.add({ e: 'ok', id, seq })
    this.#pending.delete(id)
  }

  failed(id: string, code: string | number, mayGiveUp = true): void {
    const pending = this.#pending.get(id)
    if (!pending) return
    if (!isDefinite(code)) return this.lost(pending, mayGiveUp)
    pending.isOut = false
    this.#history.add({ e: 'fail', id, code: String(code) })
    if (code === 'id_conflict' || code === 409) this.#pending.delete(id)
    else if (mayGiveUp && this.#random.chance(this.#givesUp.afterError)) this.#pending.delete(id)
  }

  /** No answer will come. */
  lost(pending: Pending, mayGiveUp = true): void {
    pending.isOut = false
    pending.isClean = false
    this.#history.add({ e: 'info', id: pending.id })
    if (mayGiveUp && this.#random.chance(this.#givesUp.afterLoss)) this.#pending.delete(pending.id)
  }
}
