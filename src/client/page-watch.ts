import type { Clock } from './clock.ts'
import type { Core } from './core.ts'
import { host, type Target } from './environment.ts'
import type { Link } from './link.ts'
import type { Standing } from './standing.ts'

/** A person who has done nothing for so long may have left the screen as it is. */
const ATTENDED_MS = 30_000
/** What only a person does. Not `scroll`: what comes in scrolls a list as well. */
const ACTIVITIES = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchmove', 'focus']

interface Listener {
  /** The page goes, perhaps for good. */
  left(): void
  /** The page is seen again, or the network is back: what came meanwhile may have been missed. */
  woke(): void
  /** A person does something here. */
  attended(): void
}

/** What the browser says: whether anybody looks, whether there is a network, and that the page goes or comes back. */
export class PageWatch {
  readonly #link: Link
  readonly #standing: Standing
  readonly #clock: Clock
  readonly #listener: Listener
  #activeAt = 0
  readonly #offs: (() => void)[] = []

  constructor({ clock, link }: Core, standing: Standing, listener: Listener) {
    this.#clock = clock
    this.#link = link
    this.#standing = standing
    this.#listener = listener
  }

  /** Whether a person looks at the page, as far as one can know. Outside of a page, always. */
  isAttended(): boolean {
    const { document } = host()
    if (!document) return true
    const isSeen = document.visibilityState === 'visible' && document.hasFocus()
    return isSeen && this.#clock.now() - this.#activeAt <= ATTENDED_MS
  }

  start(): void {
    const link = this.#link
    const { document, navigator } = host()
    if (!document) return
    link.step({ type: 'online', is: navigator?.onLine !== false })
    this.#see()
    this.#on(document, 'visibilitychange', () => {
      this.#see()
      this.tell()
      if (link.state.isVisible) this.#listener.woke()
      this.#listener.attended()
    })
    this.#on(document, 'resume', () => {
      link.step({ type: 'wake' })
      this.#listener.woke()
    })
    const page = globalThis as unknown as Target
    this.#activeAt = this.#clock.now()
    for (const type of ACTIVITIES)
      this.#on(page, type, () => {
        const idleMs = this.#clock.now() - this.#activeAt
        this.#activeAt += idleMs
        if (idleMs > 1000 || type === 'focus') this.#listener.attended()
      })
    this.#on(page, 'online', () => {
      link.step({ type: 'online', is: true })
      this.#listener.woke()
    })
    this.#on(page, 'offline', () => link.step({ type: 'online', is: false }))
    // A page that goes into the cache of the browser must not leave a ghost at the server; never `unload`, which forbids that cache.
    this.#on(page, 'pagehide', () => {
      this.#listener.left()
      link.step({ type: 'hide' })
    })
    this.#on(page, 'pageshow', ({ persisted }) => {
      if (persisted) link.step({ type: 'start' })
    })
  }

  stop(): void {
    for (const off of this.#offs.splice(0)) off()
  }

  /** Tells the server whether a person looks at this client. */
  tell(): void {
    if (host().document) this.#standing.seen(this.#link.state.isVisible)
  }

  #see(): void {
    this.#link.step({ type: 'visible', is: host().document?.visibilityState !== 'hidden' })
  }

  #on(target: Target, type: string, listener: (event: { persisted?: boolean }) => void): void {
    target.addEventListener(type, listener, { passive: true })
    // Not by a signal: Node warns of more than ten listeners of one.
    this.#offs.push(() => target.removeEventListener(type, listener))
  }
}
