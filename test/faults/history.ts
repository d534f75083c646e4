// What clients did and saw, one JSON line an event. Written before the frame it speaks of leaves, so that a killed client
// has never done anything that is not in its history.
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'

/** Milliseconds of a clock that all processes of the machine share and nobody sets. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000
}

/** `t` is `monotonicMs`; `d` a device, `u` its user, `w` the other person of the conversation, `c` a connection. */
export type Entry = { readonly t: number } & (
  | { readonly e: 'invoke'; readonly id: string; readonly from: string; readonly to: string; readonly c: string }
  | { readonly e: 'ok'; readonly id: string; readonly seq: number }
  /** A definite failure: the server has promised that this attempt stored nothing. */
  | { readonly e: 'fail'; readonly id: string; readonly code: string }
  /** The attempt's outcome will never be heard. */
  | { readonly e: 'info'; readonly id: string }
  | {
      readonly e: 'recv'
      readonly d: string
      readonly u: string
      readonly w: string
      readonly c: string
      readonly seq: number
      readonly id: string
      readonly via: 'push' | 'page' | 'reply'
      /** The id that the text was made from, when it is not the message's. */
      readonly op?: string
    }
  | { readonly e: 'applied'; readonly d: string; readonly u: string; readonly w: string; readonly seq: number }
  | { readonly e: 'ack'; readonly d: string; readonly u: string; readonly w: string; readonly seq: number }
  /** A position that the server has told: everybody may rely on it from here on. */
  | { readonly e: 'receipt'; readonly of: string; readonly w: string; readonly seq: number }
  /** A page that was asked for at `began`; `n` messages, the last one `last`. */
  | {
      readonly e: 'page'
      readonly d: string
      readonly u: string
      readonly w: string
      readonly began: number
      readonly after: number
      readonly n: number
      readonly last: number
      readonly more: boolean
    }
  /** Told that it is up to date, having begun to connect at `began`. */
  | { readonly e: 'synced'; readonly d: string; readonly u: string; readonly began: number; readonly heads: Heads }
  /** Where a device stands after the faults, before it connects again (`live`) and after (`final`). */
  | { readonly e: 'standing'; readonly d: string; readonly u: string; readonly stage: Stage; readonly heads: Heads }
  /** Everything that a fresh device reads of one conversation. */
  | { readonly e: 'read'; readonly u: string; readonly w: string; readonly rows: readonly Row[] }
  | {
      readonly e: 'position'
      readonly u: string
      readonly w: string
      readonly began: number
      readonly seq: number
    }
  | { readonly e: 'fault'; readonly name: string; readonly phase: 'start' | 'stop' | 'once'; readonly target?: string }
)

export type Heads = readonly (readonly [string, number])[]
export type Stage = 'live' | 'final'
/** Seq, id, sender, and the id that the text was made from. */
export type Row = readonly [number, string, string, string]
type Untimed<T> = T extends unknown ? Omit<T, 't'> : never
export type Event = Untimed<Entry>

export interface History {
  add(event: Event): void
  /** After it a killed process leaves what was added. */
  flush(): void
}

/** For scenarios that run in one process. */
export class MemoryHistory implements History {
  readonly entries: Entry[] = []

  add(event: Event): void {
    this.entries.push({ t: monotonicMs(), ...event })
  }
  flush(): void {
    // Nothing is buffered.
  }
}

export class FileHistory implements History {
  readonly #file: number
  #lines = ''

  /** Goes on behind what is there; a line that was cut off by a kill is ended. */
  constructor(path: string) {
    this.#file = openSync(path, 'a')
    this.#lines = '\n'
  }

  add(event: Event): void {
    this.#lines += `${JSON.stringify({ t: monotonicMs(), ...event })}\n`
  }

  flush(): void {
    if (this.#lines === '') return
    // A write to the page cache survives the death of the process.
    writeSync(this.#file, this.#lines)
    this.#lines = ''
  }

  close(): void {
    this.flush()
    closeSync(this.#file)
  }
}

/** Entries of one file; what a kill cut off is left out: nothing had been done yet that it speaks of. */
export function readHistory(path: string): Entry[] {
  const entries: Entry[] = []
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    if (!line.startsWith('{') || !line.endsWith('}')) continue
    try {
      entries.push(JSON.parse(line))
    } catch {
      // The torn line of a killed client.
    }
  }
  return entries
}

const ID_LENGTH = 36

/** Ids that begin so stand for a large text. */
export const LARGE = 'ffff'
const LARGE_CHARACTERS = 15_000

/** Text that tells which send it is of: 40 to 240 characters, or very many. */
export function contentOf(id: string): string {
  const size = id.startsWith(LARGE) ? LARGE_CHARACTERS : 3 + (Number.parseInt(id.slice(0, 4), 16) % 200)
  return `${id} ${'x'.repeat(size)}`
}

/** The send that a text was made for; `?` when it is none of ours. */
export function operationOf(content: unknown): string {
  const text = String(content)
  const id = text.slice(0, ID_LENGTH)
  return text === contentOf(id) ? id : '?'
}

export function conversationOf(a: string, b: string): string {
  return a <= b ? `${a} ${b}` : `${b} ${a}`
}
