// What people with the SDK did and were shown, one JSON line an event, written before anything that follows from it.
import { appendFileSync } from 'node:fs'

/** `d`: the device, `w`: the other person. */
export type SdkEntry =
  /** A process of clients has begun, or has begun again after a kill. */
  | { readonly e: 'start' }
  /** The text is in the storage: from here on it may not be lost. `n`: the how-manieth of this device. */
  | { readonly e: 'typed'; readonly d: string; readonly w: string; readonly id: string; readonly n: number }
  | { readonly e: 'settled'; readonly d: string; readonly id: string; readonly outcome: string; readonly seq: number }
  /** Shown to the person, in the order of the device. */
  | { readonly e: 'told'; readonly d: string; readonly w: string; readonly id: string; readonly seq: number }
  | { readonly e: 'reset'; readonly d: string; readonly w: string }
  /** Acknowledged up to `seq` while no disk of this person had these. An own message may still be in the outbox. */
  | {
      readonly e: 'unkept'
      readonly d: string
      readonly w: string
      readonly seq: number
      readonly missing: readonly number[]
    }

export class SdkJournal {
  readonly #path: string
  #lines: string

  constructor(path: string) {
    this.#path = path
    this.#lines = '\n'
    this.add({ e: 'start' })
    this.flush()
  }

  add(entry: SdkEntry): void {
    this.#lines += `${JSON.stringify(entry)}\n`
  }

  flush(): void {
    if (this.#lines === '') return
    appendFileSync(this.#path, this.#lines)
    this.#lines = ''
  }
}
