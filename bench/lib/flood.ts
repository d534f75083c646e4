import type { FloodCommand, FloodPlan, FloodResult } from './flood-plan.ts'
import { FloodSocket } from './flood-socket.ts'
import { LatencyHistogram } from './histogram.ts'

const openAtOnce = 50
const tickMs = 2
/** Frames in one write: a write for each would make the machine busy with the clients, not with the service. */
const leastBurst = 8
const drainDeadlineMs = 15_000
const faultsKept = 5

/** Pairs of users who send at a fixed rate whatever the answers are. */
export class Flood {
  readonly #pairs: [FloodSocket, FloodSocket][] = []
  readonly #faults: string[] = []
  readonly #codes = new Map<string, number>()
  #ackAge = new LatencyHistogram()
  #refusalAge = new LatencyHistogram()
  #window = { seconds: 0, offered: 0, written: 0, acked: 0, refused: 0 }
  #measuring = false
  #welcomed = 0
  #onProgress: (() => void) | undefined

  async obey(command: FloodCommand): Promise<FloodResult> {
    if (command.type === 'open') await this.#open(command.plan)
    else if (command.type === 'rush') await this.#rush(command)
    else await this.#finish()
    return this.#result()
  }

  async #open({ host, port, pairs, contentBytes }: FloodPlan): Promise<void> {
    for (const [first, second] of pairs) {
      const [a, b] = [
        [first, second],
        [second, first],
      ].map(([userId = '', peerId = '']) => this.#socket({ host, port, userId, peerId, contentBytes }))
      if (a && b) this.#pairs.push([a, b])
      if (this.#pairs.length % openAtOnce === 0) await this.#until(() => this.#welcomed === 2 * this.#pairs.length)
    }
    await this.#until(() => this.#welcomed === 2 * this.#pairs.length)
  }

  #socket(plan: ConstructorParameters<typeof FloodSocket>[0]): FloodSocket {
    return new FloodSocket(plan, {
      welcomed: () => {
        this.#welcomed++
        this.#onProgress?.()
      },
      answered: (ageMs, code) => this.#answered(ageMs, code),
      delivered: () => this.#onProgress?.(),
      failed: (reason) => {
        if (this.#faults.length < faultsKept) this.#faults.push(reason)
        this.#onProgress?.()
      },
    })
  }

  #answered(ageMs: number, code: string | undefined): void {
    if (code !== undefined) this.#codes.set(code, (this.#codes.get(code) ?? 0) + 1)
    if (this.#measuring) {
      this.#window[code === undefined ? 'acked' : 'refused']++
      const age = code === undefined ? this.#ackAge : this.#refusalAge
      age.record(ageMs)
    }
    this.#onProgress?.()
  }

  async #rush({ rate, warmupMs, measureMs }: Extract<FloodCommand, { type: 'rush' }>): Promise<void> {
    const sockets = this.#pairs.flat()
    const startMs = performance.now()
    let dueBefore = 0
    let turn = 0
    const tick = (): void => {
      const nowMs = performance.now()
      const due = Math.floor(((nowMs - startMs) * rate) / 1000)
      const share = Math.max(leastBurst, Math.ceil((due - dueBefore) / sockets.length))
      for (; dueBefore + share <= due; dueBefore += share) {
        const written = sockets[turn++ % sockets.length]?.send(share, nowMs) ?? 0
        if (!this.#measuring) continue
        this.#window.offered += share
        this.#window.written += written
      }
    }
    const ticking = setInterval(tick, tickMs)
    await new Promise((resolve) => setTimeout(resolve, warmupMs))
    this.#window = { seconds: 0, offered: 0, written: 0, acked: 0, refused: 0 }
    this.#ackAge = new LatencyHistogram()
    this.#refusalAge = new LatencyHistogram()
    this.#measuring = true
    const beginMs = performance.now()
    await new Promise((resolve) => setTimeout(resolve, measureMs))
    this.#measuring = false
    this.#window.seconds = (performance.now() - beginMs) / 1000
    clearInterval(ticking)
  }

  /** Waits until each has its answer and everybody holds what is stored, and compares. */
  async #finish(): Promise<void> {
    await this.#until(() => this.#pairs.every(([a, b]) => isSettled(a, b) && isSettled(b, a)))
    for (const [a, b] of this.#pairs) {
      this.#faults.push(...faultsOf(a, b), ...faultsOf(b, a))
      a.close()
      b.close()
    }
  }

  #result(): FloodResult {
    const counts = ({ counts, maxMs }: LatencyHistogram) => ({ counts, maxMs })
    return {
      ...this.#window,
      ackAge: counts(this.#ackAge),
      refusalAge: counts(this.#refusalAge),
      codes: Object.fromEntries(this.#codes),
      conversations: this.#pairs.map(([a, b]) => ({
        users: [a.plan.userId, a.plan.peerId],
        messages: a.acked + b.acked,
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

function isSettled(sender: FloodSocket, receiver: FloodSocket): boolean {
  return sender.unanswered === 0 && receiver.deliveredSeqs.count >= sender.acked
}

/** Sent is acked or refused; what is acked, and only that, has come to the other person, in order. */
function faultsOf(sender: FloodSocket, receiver: FloodSocket): string[] {
  const { sent, acked, refused, plan, sentSeqs } = sender
  const { deliveredSeqs } = receiver
  const faults = [sentSeqs.fault, deliveredSeqs.fault].filter((fault) => fault !== undefined)
  if (sent !== acked + refused) faults.push(`sent ${sent}, but acked ${acked} and refused ${refused}`)
  if (deliveredSeqs.count !== acked || deliveredSeqs.sum !== sentSeqs.sum)
    faults.push(`acked ${acked}, but delivered ${deliveredSeqs.count}`)
  return faults.map((fault) => `${plan.userId}: ${fault}`)
}
