/** A start-up speaks of its progress every ten seconds (log_startup_progress_interval), but not while it writes its checkpoint. */
const SILENCE_LIMIT_MS = 5 * 60_000
/** The server ends by itself soon after its start-up process has, if it can. */
const END_LIMIT_MS = 10_000

// PostgreSQL 15 to 18, src/backend/postmaster/postmaster.c; the messages are in English because LC_ALL is C.
const CRASHED = /^LOG: {2}terminating any other active server processes/
const START_UP_ENDED = /^LOG: {2}startup process \(PID \d+\) (?:was terminated|exited)/
const READY = /^LOG: {2}database system is ready to accept connections/

export interface StartupWatchOptions {
  /** Called once, when the server starts or recovers without a word for too long. */
  readonly stuck: (silentMs: number) => void
  readonly silenceLimitMs?: number | undefined
}

/**
 * Listens to what PostgreSQL says from its start until it is ready, and again from a crash of one of its processes on. A start-up
 * process that hangs, or that died without the rest of the server, leaves a server that neither serves nor ends.
 */
export class StartupWatch {
  readonly #options: StartupWatchOptions
  #isStarting = true
  #timer: NodeJS.Timeout | undefined

  constructor(options: StartupWatchOptions) {
    this.#options = options
    this.#arm(this.#silenceLimitMs)
  }

  /** The server has said something. */
  line(text: string): void {
    if (CRASHED.test(text)) this.#isStarting = true
    if (READY.test(text)) this.#isStarting = false
    if (this.#isStarting) this.#arm(START_UP_ENDED.test(text) ? END_LIMIT_MS : this.#silenceLimitMs)
    else this.end()
  }

  /** The server has ended, or need not be watched any more for now. */
  end(): void {
    clearTimeout(this.#timer)
  }

  get #silenceLimitMs(): number {
    return this.#options.silenceLimitMs ?? SILENCE_LIMIT_MS
  }

  #arm(limitMs: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#options.stuck(limitMs), limitMs)
    this.#timer.unref()
  }
}
