import type { UserId } from '../protocol/message.ts'
import type { Core } from './core.ts'
import { remembered } from './environment.ts'
import type { KeptDraft } from './storage.ts'

/** Longer ago, and a draft may have gone on elsewhere. */
const FRESH_MS = 60_000

interface Left {
  /** By the wall clock. */
  readonly at: number
  readonly texts: readonly (readonly [other: UserId, text: string])[]
}

/** What is typed and not sent yet, one text for each conversation: in the storage, and the last keys over a reload too. */
export class Drafts {
  readonly #core: Core
  readonly #changed: (other: UserId, text: string) => void
  readonly #texts = new Map<UserId, string>()
  /** Those that this tab has changed last. */
  readonly #own = new Set<UserId>()
  /** Where this tab keeps them while it is reloaded. */
  #place = ''

  constructor(core: Core, changed: (other: UserId, text: string) => void) {
    this.#core = core
    this.#changed = changed
  }

  of(other: UserId): string {
    return this.#texts.get(other) ?? ''
  }

  conversations(): Iterable<UserId> {
    return this.#texts.keys()
  }

  /** Typed here. */
  write(other: UserId, text: string): void {
    if (this.of(other) === text) return
    this.heard(other, text)
    this.#own.add(other)
    this.#keep(other)
    this.#core.session.tabs?.say({ type: 'draft', with: other, text })
  }

  /** Another tab has changed it. */
  heard(other: UserId, text: string): void {
    this.#texts.set(other, text)
    this.#own.delete(other)
    this.#changed(other, text)
  }

  /** Takes up what this tab has left there when it was reloaded, before the storage has answered. */
  take(place: string): void {
    this.#place = place
    const { at, texts } = leftAt(place)
    remembered(place, null, 'sessionStorage')
    if (this.#core.clock.wall() - at > FRESH_MS) return
    for (const [other, text] of texts) {
      if (this.#texts.has(other)) continue
      this.heard(other, text)
      this.#own.add(other)
    }
  }

  /** What is newer here than in the storage stays. */
  restore(drafts: readonly KeptDraft[]): void {
    for (const { with: other, text } of drafts)
      if (typeof text === 'string' && !this.#texts.has(other)) this.heard(other, text)
    for (const other of this.#own) this.#keep(other)
  }

  /** The page goes: what the storage has not written by now is lost. */
  left(): void {
    const texts = [...this.#own].map((other) => [other, this.of(other)] as const)
    const left: Left = { at: this.#core.clock.wall(), texts }
    if (texts.length > 0) remembered(this.#place, JSON.stringify(left), 'sessionStorage')
  }

  clear(): void {
    for (const other of this.#texts.keys()) this.#changed(other, '')
    this.#texts.clear()
    this.#own.clear()
    remembered(this.#place, null, 'sessionStorage')
  }

  #keep(other: UserId): void {
    const text = this.of(other)
    this.#core.session.keep(
      text === '' ? { remove: 'drafts', key: other } : { put: 'drafts', row: { with: other, text } },
    )
  }
}

function leftAt(place: string): Left {
  try {
    return JSON.parse(remembered(place, undefined, 'sessionStorage') ?? '') as Left
  } catch {
    return { at: 0, texts: [] }
  }
}
