// A link to PostgreSQL that understands its messages and can cut or hold at the moments that matter. The service sends COPY
// data and COMMIT in one write; here they are told apart.
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type Pair, TcpProxy } from './tcp-proxy.ts'

/**
 * Where the connection of a writing session is reset:
 * `mid-copy`: half of the COPY data was forwarded · `before-commit`: everything but the COMMIT · `after-commit`: the COMMIT was
 * forwarded, its reply is dropped · `after-tag`: the reply `COMMIT` was passed on, `ReadyForQuery` is dropped.
 */
export type CutPoint = 'mid-copy' | 'before-commit' | 'after-commit' | 'after-tag'
export const CUT_POINTS: readonly CutPoint[] = ['mid-copy', 'before-commit', 'after-commit', 'after-tag']

type Waiter = () => void

/** What is known of one session. */
class SessionState {
  /** Statement names that stand for COMMIT. */
  readonly commits = new Set<string>()
  /** Portal's statement was COMMIT: the next Execute sends it. */
  isCommitBound = false
  cut: CutPoint | undefined
  isDropping = false
}

export class PostgresProxy extends TcpProxy {
  #cuts: CutPoint[] = []
  #holdMs: () => number = () => 0
  #waiters: Waiter[] = []
  #holdWaiters: Waiter[] = []
  /** How often each cut was made. */
  readonly made = new Map<CutPoint, number>()
  /** From the moment of a cut nobody gets through any more. */
  staysDown = false
  /** COMMITs seen. */
  commits = 0

  /** Cuts the next COMMITs, one each. */
  cutNext(...points: readonly CutPoint[]): void {
    this.#cuts.push(...points)
  }

  /** Resolves when everything asked for has been cut. */
  allCut(): Promise<void> {
    if (this.#cuts.length === 0) return Promise.resolve()
    return new Promise((resolve) => this.#waiters.push(resolve))
  }

  forgetCuts(): void {
    this.#cuts = []
  }

  /** Resolves when the next COMMIT begins to wait. */
  nextHeld(): Promise<void> {
    return new Promise((resolve) => this.#holdWaiters.push(resolve))
  }

  /** Every COMMIT waits so long before it is forwarded. */
  holdCommits(ms: () => number): void {
    this.#holdMs = ms
  }

  protected override piped(pair: Pair): void {
    const state = new SessionState()
    void this.#forward(pair, state)
    void this.#backward(pair, state)
  }

  async #forward(pair: Pair, state: SessionState): Promise<void> {
    const { client, upstream } = pair
    const messages = new MessageStream(true)
    try {
      for await (const chunk of client) {
        let ready: Buffer[] = []
        for (const message of messages.take(chunk)) {
          if (message[0] === COPY_DATA && this.#cuts[0] === 'mid-copy')
            return await this.#cutInCopy(pair, ready, message)
          if (!this.#note(message, state)) {
            ready.push(message)
            continue
          }
          await this.#write(upstream, ready)
          ready = []
          if (await this.#atCommit(pair, state)) return
          await this.#write(upstream, [message])
        }
        await this.#write(upstream, ready)
      }
      upstream.end()
    } catch {
      upstream.destroy() // the client's end is passed on
    }
  }

  /** True when the message is the one that executes a COMMIT. */
  #note(message: Buffer, state: SessionState): boolean {
    const type = message[0]
    if (type === PARSE) {
      const [name = '', text = ''] = strings(message, 5, 2)
      if (/^\s*commit\b/i.test(text)) state.commits.add(name)
    } else if (type === BIND) {
      const [, statement = ''] = strings(message, 5, 2)
      state.isCommitBound = state.commits.has(statement)
    } else if (type === EXECUTE && state.isCommitBound) {
      state.isCommitBound = false
      return true
    } else if (type === QUERY) {
      return /^\s*commit\b/i.test(strings(message, 5, 1)[0] ?? '')
    }
    return false
  }

  /** True when the connection was cut. */
  async #atCommit(pair: Pair, state: SessionState): Promise<boolean> {
    this.commits += 1
    const heldMs = this.#holdMs()
    if (heldMs > 0) {
      for (const told of this.#holdWaiters.splice(0)) told()
      await delay(heldMs)
    }
    const point = this.#cuts[0]
    if (point === undefined || point === 'mid-copy') return false
    this.#cuts.shift()
    if (point === 'before-commit') {
      this.#reset(pair, point)
      return true
    }
    // The answer comes in the other direction, where it is waited for.
    state.cut = point
    return false
  }

  async #cutInCopy(pair: Pair, ready: readonly Buffer[], data: Buffer): Promise<void> {
    this.#cuts.shift()
    await this.#write(pair.upstream, [...ready, data.subarray(0, data.length >> 1)])
    this.#reset(pair, 'mid-copy')
  }

  async #backward(pair: Pair, state: SessionState): Promise<void> {
    const { client, upstream } = pair
    const messages = new MessageStream(false)
    try {
      for await (const chunk of upstream) {
        const passed: Buffer[] = []
        for (const message of messages.take(chunk)) {
          const isCommitted = message[0] === COMMAND_COMPLETE && strings(message, 5, 1)[0] === 'COMMIT'
          if (state.cut === 'after-commit' && isCommitted) state.isDropping = true
          if (!state.isDropping) passed.push(message)
          if (state.cut === 'after-tag' && isCommitted) state.isDropping = true
        }
        await this.#write(client, passed)
        if (state.isDropping && state.cut) return this.#reset(pair, state.cut)
      }
      client.end()
    } catch {
      client.destroy() // the server's end is passed on
    }
  }

  #reset({ client, upstream }: Pair, point: CutPoint): void {
    this.made.set(point, (this.made.get(point) ?? 0) + 1)
    if (this.staysDown) this.set({ down: true })
    client.resetAndDestroy()
    upstream.destroy() // a unix socket, which knows no reset
    if (this.#cuts.length > 0) return
    const waiters = this.#waiters
    this.#waiters = []
    for (const done of waiters) done()
  }

  async #write(to: Socket, messages: readonly Buffer[]): Promise<void> {
    if (messages.length > 0) await this.pass(Buffer.concat(messages), to)
  }
}

const PARSE = 'P'.charCodeAt(0)
const BIND = 'B'.charCodeAt(0)
const EXECUTE = 'E'.charCodeAt(0)
const QUERY = 'Q'.charCodeAt(0)
const COPY_DATA = 'd'.charCodeAt(0)
const COMMAND_COMPLETE = 'C'.charCodeAt(0)

/** Cuts a stream into messages: type, length, body; a client's first message has no type. */
class MessageStream {
  #rest = Buffer.alloc(0)
  #isFirst: boolean

  constructor(isClient: boolean) {
    this.#isFirst = isClient
  }

  take(chunk: Buffer): Buffer[] {
    this.#rest = Buffer.concat([this.#rest, chunk])
    const messages: Buffer[] = []
    for (;;) {
      const headerLength = this.#isFirst ? 0 : 1
      if (this.#rest.length < headerLength + 4) return messages
      const length = headerLength + this.#rest.readInt32BE(headerLength)
      if (this.#rest.length < length) return messages
      messages.push(this.#rest.subarray(0, length))
      this.#rest = this.#rest.subarray(length)
      this.#isFirst = false
    }
  }
}

function strings(message: Buffer, offset: number, count: number): string[] {
  const found: string[] = []
  for (let from = offset; found.length < count; ) {
    const end = message.indexOf(0, from)
    if (end < 0) return found
    found.push(message.toString('utf8', from, end))
    from = end + 1
  }
  return found
}
