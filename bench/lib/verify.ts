/** The seqs of one kind of frame on one socket: strictly increasing, remembered as count, sum and last. */
export class SeqLog {
  count = 0
  sum = 0
  last = 0
  fault: string | undefined
  readonly #kind: string

  constructor(kind: string) {
    this.#kind = kind
  }

  add(seq: number): void {
    if (seq <= this.last) this.fault ??= `${this.#kind}: seq ${seq} after ${this.last}`
    this.count++
    this.sum += seq
    this.last = seq
  }
}

/** What one socket has sent and seen of one conversation. */
export interface Tally {
  readonly userId: string
  readonly sent: number
  readonly sentSeqs: SeqLog
  readonly deliveredSeqs: SeqLog
}

/**
 * Whether a conversation has one numbering, or each of its people their own: always, or when they are on two instances, which
 * have no common store.
 */
export type Numbering = 'conversation' | 'sender' | 'instance'

/** How many messages a conversation must hold. */
export interface ConversationCount {
  readonly users: readonly [string, string]
  readonly messages: number
}

/**
 * Why two users' counts do not add up; empty when they do. Together: sent = acked = delivered both ways, and the seqs
 * that each socket saw (its replies and its pushes) are 1, 2, 3 … without a gap or a repetition. Order is checked for
 * replies and for pushes separately, since a server may write a batch's replies before its pushes.
 */
export function conversationFaults(a: Tally, b: Tally, numbering: Numbering): string[] {
  const total = a.sent + b.sent
  const checks: [boolean, string][] = [
    [
      a.sentSeqs.count === a.sent && b.sentSeqs.count === b.sent,
      `sent ${a.sent}+${b.sent} but acked ${a.sentSeqs.count}+${b.sentSeqs.count}`,
    ],
    [
      b.deliveredSeqs.count === a.sent && a.deliveredSeqs.count === b.sent,
      `sent ${a.sent}+${b.sent} but delivered ${b.deliveredSeqs.count}+${a.deliveredSeqs.count}`,
    ],
    [
      numbering === 'conversation'
        ? isDense(a, total) && isDense(b, total)
        : isDenseAlone(a.sentSeqs, a.sent) && isDenseAlone(b.sentSeqs, b.sent),
      `seqs are not 1 … ${total}`,
    ],
    [
      a.sentSeqs.sum === b.deliveredSeqs.sum && b.sentSeqs.sum === a.deliveredSeqs.sum,
      'sender and receiver saw different seqs',
    ],
  ]
  const broken = checks.filter(([holds]) => !holds).map(([, reason]) => reason)
  return [...broken, ...orderFaults(a), ...orderFaults(b)].map((reason) => `${a.userId}: ${reason}`)
}

/** The same for a sender whose receiver has no socket: only replies are expected. */
export function soloFaults(sender: Tally): string[] {
  const faults = orderFaults(sender)
  const acked = sender.sentSeqs.count
  if (acked !== sender.sent) faults.push(`sent ${sender.sent} but acked ${acked}`)
  if (!isDense(sender, sender.sent)) faults.push(`seqs are not 1 … ${sender.sent}`)
  return faults.map((reason) => `${sender.userId}: ${reason}`)
}

function isDense({ sentSeqs, deliveredSeqs }: Tally, total: number): boolean {
  return (
    sentSeqs.count + deliveredSeqs.count === total &&
    Math.max(sentSeqs.last, deliveredSeqs.last) === total &&
    sentSeqs.sum + deliveredSeqs.sum === (total * (total + 1)) / 2
  )
}

function isDenseAlone({ count, last, sum }: SeqLog, total: number): boolean {
  return count === total && last === total && sum === (total * (total + 1)) / 2
}

function orderFaults({ sentSeqs, deliveredSeqs }: Tally): string[] {
  return [sentSeqs.fault, deliveredSeqs.fault].filter((fault) => fault !== undefined)
}
