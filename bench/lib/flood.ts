import { setTimeout as wait } from 'node:timers/promises'
import type { FloodCommand, FloodPlan, FloodResult } from './flood-plan.ts'
import { FloodUser } from './flood-user.ts'
import { LatencyHistogram } from './histogram.ts'

const openAtOnce = 50
const tickMs = 2
/** Frames in one write: a write for each would make the machine busy with the clients, not with the service. */
const leastBurst = 8
const drainDeadlineMs = 15_000
const faultsKept = 5

/** Pairs of users for whom messages are due at a fixed rate whatever the answers are. */
export class Flood {
  readonly #pairs: [FloodUser, FloodUser][] = []
  readonly #faults: string[] = []
  readonly #refusals = new Map<string, number>()
  #ackAge = new LatencyHistogram()
  #refusalAge = new LatencyHistogram()
  #window = { seconds: 0, offered: 0, heldBack: 0, acked: 0, refused: 0 }
  #measuring = false
  #closes = 0
  #settledAfterMs = 0
  #settledFromMs = 0
  #onProgress: (() => void) | undefined

  async obey(command: FloodCommand): Promise<FloodResult> {
    if (command.type === 'open') await this.#open(command.plan)
    else if (command.type === 'rush') await this.#rush(command)
    else await this.#finish()
    return this.#result()
  }

  async #open({ pairs, settledAfterMs, ...plan }: FloodPlan): Promise<void> {
    this.#settledAfterMs = settledAfterMs
    for (const [first, second] of pairs) {
      this.#pairs.push([
        this.#user({ ...plan, userId: first, peerId: second }),
        this.#user({ ...plan, userId: second, peerId: first }),
      ])
      if (this.#pairs.length % openAtOnce === 0) await this.#until(() => this.#areConnected)
    }
    await this.#until(() => this.#areConnected)
  }

  get #areConnected(): boolean {
    return this.#pairs.every(([a, b]) => a.isConnected && b.isConnected)
  }

  #user(plan: ConstructorParameters<typeof FloodUser>[0]): FloodUser {
    return new FloodUser(plan, {
      welcomed: () => this.#onProgress?.(),
      synced: () => this.#onProgress?.(),
      answered: (ageMs, code) => this.#answered(ageMs, code),
      pushed: () => this.#onProgress?.(),
      closed: () => {
        this.#closes++
        this.#settledFromMs = performance.now() + this.#settledAfterMs
      },
      failed: (reason) => {
        if (this.#faults.length < faultsKept) this.#faults.push(reason)
        this.#onProgress?.()
      },
    })
  }

  #answered(ageMs: number, code: string | undefined): void {
    if (code !== undefined) this.#refusals.set(code, (this.#refusals.get(code) ?? 0) + 1)
    if (this.#measuring) {
      this.#window[code === undefined ? 'acked' : 'refused']++
      const age = code === undefined ? this.#ackAge : this.#refusalAge
      age.record(ageMs)
    }
    this.#onProgress?.()
  }

  async #rush({ rate, warmupMs, measureMs }: Extract<FloodCommand, { type: 'rush' }>): Promise<void> {
    const users = this.#pairs.flat()
    const startMs = performance.now()
    let dueBefore = 0
    let turn = 0
    const tick = (): void => {
      const nowMs = performance.now()
      const due = Math.floor(((nowMs - startMs) * rate) / 1000)
      const share = Math.max(leastBurst, Math.ceil((due - dueBefore) / users.length))
      for (; dueBefore + share <= due; dueBefore += share) {
        const written = users[turn++ % users.length]?.send(share, nowMs) ?? 0
        if (!this.#measuring) continue
        this.#window.offered += share
        this.#window.heldBack += share - written
      }
    }
    const ticking = setInterval(tick, tickMs)
    await wait(warmupMs)
    this.#window = { seconds: 0, offered: 0, heldBack: 0, acked: 0, refused: 0 }
    this.#ackAge = new LatencyHistogram()
    this.#refusalAge = new LatencyHistogram()
    this.#measuring = true
    const beginMs = performance.now()
    await wait(measureMs)
    this.#measuring = false
    this.#window.seconds = (performance.now() - beginMs) / 1000
    clearInterval(ticking)
  }

  /** Waits until each has its answer and everybody holds what is stored, and compares. */
  async #finish(): Promise<void> {
    do {
      await wait(Math.max(0, this.#settledFromMs - performance.now()))
      await this.#until(() => this.#pairs.every(isSettled))
    } while (performance.now() < this.#settledFromMs)
    for (const pair of this.#pairs) {
      this.#faults.push(...faultsOf(pair))
      for (const user of pair) user.close()
    }
  }

  #result(): FloodResult {
    return {
      ...this.#window,
      ackAge: this.#ackAge.packed(),
      refusalAge: this.#refusalAge.packed(),
      refusals: Object.fromEntries(this.#refusals),
      closes: this.#closes,
      lost: this.#pairs.reduce((sum, [a, b]) => sum + a.lost + b.lost, 0),
      lostStored: this.#pairs.reduce((sum, [a, b]) => sum + storedBy([a, b]) - a.acked.size - b.acked.size, 0),
      conversations: this.#pairs.map((pair) => ({
        users: [pair[0].plan.userId, pair[1].plan.userId],
        messages: storedBy(pair),
      })),
      faults: this.#faults.slice(0, faultsKept),
    }
  }

  async #until(isReached: () => boolean): Promise<void> {
    if (isReached() || this.#faults.length > 0) return
    await new Promise<void>((resolve) => {
      const deadline = setTimeout(resolve, drainDeadlineMs)
      this.#onProgress = () => {
        if (!isReached() && this.#faults.length === 0) return
        clearTimeout(deadline)
        resolve()
      }
    })
    this.#onProgress = undefined
  }
}

/**
 * Everybody has caught up, and lacks no more than they lost sight of: who sends is not told again what they sent. Both: the
 * second alone is true of who came back and still has much to be brought.
 */
function isSettled(pair: readonly [FloodUser, FloodUser]): boolean {
  const stored = storedBy(pair)
  return pair.every((user) => user.isCaughtUp && user.unanswered === 0 && stored - user.held.size <= user.lost)
}

function storedBy([a, b]: readonly [FloodUser, FloodUser]): number {
  return Math.max(a.lastHeld, b.lastHeld)
}

/** Everything acked is held by both, nothing is held by nobody, and what was not acked is no more than was lost sight of. */
function faultsOf([a, b]: readonly [FloodUser, FloodUser]): string[] {
  const stored = storedBy([a, b])
  const [acked, lost] = [a.acked.size + b.acked.size, a.lost + b.lost]
  const lacks = (user: FloodUser, seqs: ReadonlySet<number>) => [...seqs].filter((seq) => !user.held.has(seq)).length
  const checks: [boolean, string][] = [
    [a.unanswered + b.unanswered === 0, `${a.unanswered} and ${b.unanswered} sends have no answer`],
    [stored >= acked && stored <= acked + lost, `acked ${acked}, perhaps ${lost} more, but delivered ${stored}`],
    [a.held.size + lacks(a, b.held) === stored, `of 1 … ${stored} some were delivered to nobody`],
    ...[[a, b] as const, [b, a] as const].flatMap(([one, other]): [boolean, string][] => [
      [
        lacks(one, other.acked) === 0,
        `${one.plan.userId} lacks ${lacks(one, other.acked)} that ${other.plan.userId} was acked, caught up: ${one.isCaughtUp}`,
      ],
      [stored - one.held.size <= one.lost, `${one.plan.userId} lacks ${stored - one.held.size}, and lost ${one.lost}`],
    ]),
  ]
  return checks.filter(([holds]) => !holds).map(([, reason]) => `${a.plan.userId}: ${reason}`)
}
