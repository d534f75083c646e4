import type { ErrorReply } from '../protocol/events.ts'
import { MAX_WATCHED_PER_COMMAND } from '../protocol/limits.ts'
import type { UserId } from '../protocol/message.ts'
import type { Core } from './core.ts'
import { isForNow } from './errors.ts'
import { Pause } from './pause.ts'

/** Of the references of what is told here, so that a refusal finds its way back. */
const REF = 'standing'

interface Wish {
  is: boolean
  /** What the server has been told on this connection; it watches nobody by itself. */
  told: boolean
}

/**
 * What the server is to know for as long as the connection lasts: whom this client watches, and whether a person looks at it. Told
 * after each `welcome` and at each change, and again when it was refused for now.
 */
export class Standing {
  readonly #core: Core
  readonly #pause: Pause
  readonly #watched = new Map<UserId, Wish>()
  #isSeen: boolean | undefined
  #toldSeen: boolean | undefined
  #isDue = false

  constructor(core: Core) {
    this.#core = core
    this.#pause = new Pause(core, () => this.#tell())
  }

  /** Many that begin or end in one moment, as when a list is drawn, are one command. */
  watch(id: UserId, is: boolean): void {
    // Who begins to watch again has forgotten what was known, so it has to be said again.
    this.#watched.set(id, { is, told: !is && (this.#watched.get(id)?.told ?? false) })
    if (this.#isDue) return
    this.#isDue = true
    this.#core.clock.soon(() => {
      this.#isDue = false
      this.#tell()
    })
  }

  /** Whether a person looks at this client. */
  seen(is: boolean): void {
    this.#isSeen = is
    this.#tell()
  }

  welcome(): void {
    for (const [id, wish] of this.#watched)
      if (wish.is) wish.told = false
      else this.#watched.delete(id)
    this.#toldSeen = undefined
    this.#pause.clear()
    this.#tell()
  }

  clear(): void {
    this.#pause.clear()
  }

  /** Whether the error was about something told here. Which of it does not matter: to say all of it again changes nothing. */
  refused(error: ErrorReply): boolean {
    if (error.ref !== REF || !isForNow(error)) return false
    for (const wish of this.#watched.values()) wish.told = !wish.is
    this.#toldSeen = undefined
    this.#pause.refused(error.retry_after_ms)
    return true
  }

  #tell(): void {
    if (this.#pause.isOn) return
    const { link } = this.#core
    const active = this.#isSeen
    if (active !== undefined && active !== this.#toldSeen && link.send({ type: 'state', active, ref: REF }))
      this.#toldSeen = active
    this.#tellOf('unwatch', false)
    this.#tellOf('watch', true)
  }

  #tellOf(type: 'watch' | 'unwatch', is: boolean): void {
    const wishes = [...this.#watched].filter(([, wish]) => wish.is === is && wish.told !== is)
    for (let from = 0; from < wishes.length; from += MAX_WATCHED_PER_COMMAND) {
      const some = wishes.slice(from, from + MAX_WATCHED_PER_COMMAND)
      if (!this.#core.link.send({ type, user_ids: some.map(([id]) => id), ref: REF })) return
      for (const [, wish] of some) wish.told = is
    }
  }
}
