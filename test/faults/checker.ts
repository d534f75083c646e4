// Judges a history. The log of each conversation is append-only and numbered, so the order is known and every check is one
// pass: no search.
import { type Anomaly, Findings } from './findings.ts'
import { conversationOf, type Entry, type Row } from './history.ts'

type Of<E extends Entry['e']> = Extract<Entry, { e: E }>

interface Operation {
  readonly id: string
  readonly conversation: string
  readonly from: string
  readonly connection: string
  readonly order: number
  /** The highest seq of this sender here that was acked when this was first sent. */
  readonly ackedBefore: number
  attempts: number
  failed: number
  okSeq: number | undefined
}

export interface Counts {
  readonly sends: number
  readonly acked: number
  readonly failed: number
  readonly unknown: number
  /** Unknown to the client, but stored. */
  readonly recovered: number
  readonly conversations: number
  readonly applied: number
  readonly pages: number
  readonly resumes: number
  readonly deliveries: number
  /** Pushes of what the device already had: allowed, kept small. */
  readonly redelivered: number
}

export interface Verdict {
  readonly anomalies: readonly Anomaly[]
  readonly counts: Counts
}

export interface CheckOptions {
  /** Devices were given the time to be healed without connecting again: what is missing there is an anomaly. */
  readonly expectLive: boolean
}

/** Entries of each process in the order written; several histories one after the other. */
export function check(histories: readonly (readonly Entry[])[], options: CheckOptions): Verdict {
  return new Checker(histories, options).verdict()
}

class Checker {
  readonly #histories: readonly (readonly Entry[])[]
  readonly #options: CheckOptions
  readonly #found = new Findings()
  readonly #operations = new Map<string, Operation>()
  readonly #rows = new Map<string, readonly Row[]>()
  /** By conversation: when which seq was acked, then sorted and made cumulative. */
  readonly #acked = new Map<string, { t: number; seq: number }[]>()
  readonly #counts = { applied: 0, pages: 0, resumes: 0, deliveries: 0, redelivered: 0 }

  constructor(histories: readonly (readonly Entry[])[], options: CheckOptions) {
    this.#histories = histories
    this.#options = options
  }

  verdict(): Verdict {
    for (const entries of this.#histories) this.#readSends(entries)
    this.#sortAcks()
    for (const entries of this.#histories) this.#readFinal(entries)
    this.#compareSends()
    this.#compareOrder()
    for (const entries of this.#histories) {
      this.#compareDeliveries(entries)
      this.#compareApplied(entries)
      this.#compareCatchUps(entries)
      this.#compareStandings(entries)
    }
    this.#comparePositions()
    return { anomalies: this.#found.list(), counts: this.#count() }
  }

  #readSends(entries: readonly Entry[]): void {
    const ackedBySender = new Map<string, number>()
    for (const entry of entries) {
      if (entry.e === 'invoke') this.#invoked(entry, ackedBySender)
      else if (entry.e === 'fail') this.#operation(entry.id).failed += 1
      else if (entry.e === 'ok') this.#answered(entry, ackedBySender)
    }
  }

  #invoked({ id, from, to, c }: Of<'invoke'>, ackedBySender: Map<string, number>): void {
    const known = this.#operations.get(id)
    if (known) {
      known.attempts += 1
      return
    }
    const conversation = conversationOf(from, to)
    const ackedBefore = ackedBySender.get(`${from} ${conversation}`) ?? 0
    const order = this.#operations.size
    const start = { attempts: 1, failed: 0, okSeq: undefined }
    this.#operations.set(id, { id, conversation, from, connection: c, order, ackedBefore, ...start })
  }

  #answered({ id, seq, t }: Of<'ok'>, ackedBySender: Map<string, number>): void {
    const operation = this.#operation(id)
    if (operation.okSeq !== undefined && operation.okSeq !== seq) {
      this.#found.add('duplicate', `${id} was acked as ${operation.okSeq} and as ${seq}`)
    }
    operation.okSeq = seq
    const { from, conversation } = operation
    const key = `${from} ${conversation}`
    ackedBySender.set(key, Math.max(seq, ackedBySender.get(key) ?? 0))
    const acks = this.#acked.get(conversation)
    if (acks) acks.push({ t, seq })
    else this.#acked.set(conversation, [{ t, seq }])
  }

  #operation(id: string): Operation {
    const known = this.#operations.get(id)
    if (!known) throw new Error(`the history answers ${id}, which was never sent`)
    return known
  }

  #sortAcks(): void {
    for (const acks of this.#acked.values()) {
      acks.sort((a, b) => a.t - b.t)
      let highest = 0
      for (const ack of acks) {
        highest = Math.max(highest, ack.seq)
        ack.seq = highest
      }
    }
  }

  /** The highest seq of the conversation that somebody had been told before that moment. */
  #ackedAt(conversation: string, t: number): number {
    const acks = this.#acked.get(conversation) ?? []
    let low = 0
    let high = acks.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((acks[middle]?.t ?? 0) < t) low = middle + 1
      else high = middle
    }
    return acks[low - 1]?.seq ?? 0
  }

  #readFinal(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.e !== 'read') continue
      const conversation = conversationOf(entry.u, entry.w)
      const known = this.#rows.get(conversation)
      if (known && JSON.stringify(known) !== JSON.stringify(entry.rows)) {
        this.#found.add('inconsistent', `${conversation}: two readers of everything got different rows`)
      }
      this.#rows.set(conversation, entry.rows)
    }
  }

  #compareSends(): void {
    const stored = new Map<string, number>()
    for (const [conversation, rows] of this.#rows) {
      rows.forEach(([seq, id, , operation], index) => {
        if (seq !== index + 1) this.#found.add('hole', `${conversation}: row ${index + 1} has seq ${seq}`)
        if (operation !== id) this.#found.add('inconsistent', `${id} has the text of ${operation}`)
        const earlier = stored.get(operation)
        if (earlier !== undefined) this.#found.add('duplicate', `${operation} is stored as ${earlier} and as ${seq}`)
        stored.set(operation, seq)
        const sent = this.#operations.get(operation)
        if (sent?.conversation !== conversation)
          this.#found.add('phantom', `${operation} was not sent to ${conversation}`)
        else if (isFailed(sent)) this.#found.add('aborted', `${operation} had failed and is stored as ${seq}`)
      })
    }
    for (const { id, okSeq } of this.#operations.values()) {
      const seq = stored.get(id)
      if (okSeq === undefined) continue
      if (seq === undefined) this.#found.add('lost', `${id} was acked as ${okSeq}`)
      else if (seq !== okSeq) this.#found.add('inconsistent', `${id} was acked as ${okSeq} and is stored as ${seq}`)
    }
  }

  /** What was sent after an ack, or later on the same connection, stands later. */
  #compareOrder(): void {
    const lastOnConnection = new Map<string, number>()
    for (const { id, okSeq, ackedBefore, connection, conversation, attempts } of this.#operations.values()) {
      if (okSeq === undefined) continue
      if (okSeq <= ackedBefore) {
        this.#found.add('nonmonotonic send', `${id} is ${okSeq}, sent after ${ackedBefore} was acked`)
      }
      // A repeated send has lost its place in the line.
      if (attempts > 1) continue
      const key = `${connection} ${conversation}`
      const before = lastOnConnection.get(key) ?? 0
      if (okSeq <= before) this.#found.add('nonmonotonic send', `${id} is ${okSeq}, sent behind ${before}`)
      lastOnConnection.set(key, okSeq)
    }
  }

  #compareDeliveries(entries: readonly Entry[]): void {
    const held = new Map<string, number>()
    for (const entry of entries) {
      if (entry.e === 'applied') held.set(`${entry.d} ${entry.w}`, entry.seq)
      if (entry.e !== 'recv') continue
      const { u, w, d, seq, id, op, via } = entry
      this.#counts.deliveries += 1
      if (via === 'push' && seq <= (held.get(`${d} ${w}`) ?? 0)) this.#counts.redelivered += 1
      if (op !== undefined) this.#found.add('inconsistent', `${d} got ${id} with the text of ${op}`)
      const row = this.#rows.get(conversationOf(u, w))?.[seq - 1]
      if (row?.[1] === id) continue
      const sent = this.#operations.get(id)
      if (sent && isFailed(sent)) this.#found.add('aborted', `${d} saw ${id} (${seq}), which had failed`)
      else if (row) this.#found.add('inconsistent', `${d} saw ${id} as ${seq}, which is ${row[1]}`)
      else this.#found.add('phantom', `${d} saw ${id} as ${seq}, which is not stored`)
    }
  }

  #compareApplied(entries: readonly Entry[]): void {
    const last = new Map<string, number>()
    for (const entry of entries) {
      if (entry.e !== 'applied') continue
      this.#counts.applied += 1
      const key = `${entry.d} ${entry.w}`
      const before = last.get(key) ?? 0
      if (entry.seq <= before) this.#found.add('visible duplicate', `${key}: ${entry.seq} after ${before}`)
      else if (entry.seq > before + 1) this.#found.add('skipped', `${key}: ${entry.seq} after ${before}`)
      last.set(key, entry.seq)
    }
  }

  /** A page, or a whole catch-up, that began after an ack holds what was acked. */
  #compareCatchUps(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.e === 'page') this.#comparePage(entry)
      if (entry.e !== 'synced') continue
      this.#counts.resumes += 1
      const heads = new Map(entry.heads)
      for (const [conversation, other] of this.#conversationsOf(entry.u)) {
        const acked = this.#ackedAt(conversation, entry.began)
        const head = heads.get(other) ?? 0
        if (head < acked) this.#found.add('stale', `${entry.d} was synced with ${other} at ${head}, acked was ${acked}`)
      }
    }
  }

  #comparePage({ u, w, d, began, after, n, last, more }: Of<'page'>): void {
    this.#counts.pages += 1
    if (n > 0 && last !== after + n) this.#found.add('hole', `${d}: ${n} messages after ${after} end at ${last}`)
    const acked = this.#ackedAt(conversationOf(u, w), began)
    if (!more && acked > Math.max(after, last)) {
      this.#found.add('stale', `${d} read ${w} from ${after} to ${last}, acked was ${acked}`)
    }
  }

  #compareStandings(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.e !== 'standing') continue
      if (entry.stage === 'live' && !this.#options.expectLive) continue
      const heads = new Map(entry.heads)
      for (const [conversation, other] of this.#conversationsOf(entry.u)) {
        const head = heads.get(other) ?? 0
        const stored = this.#rows.get(conversation)?.length ?? 0
        const name = entry.stage === 'live' ? 'unhealed' : 'unseen'
        if (head < stored) this.#found.add(name, `${entry.d} is at ${head} of ${stored} with ${other}`)
      }
    }
  }

  /** What the server once told as received stays received. */
  #comparePositions(): void {
    const told = new Map<string, Of<'receipt'>[]>()
    for (const entry of this.#all('receipt')) {
      const key = `${entry.of} ${entry.w}`
      const known = told.get(key)
      if (known) known.push(entry)
      else told.set(key, [entry])
    }
    for (const { u, w, began, seq } of this.#all('position')) {
      const before = (told.get(`${u} ${w}`) ?? []).reduce(
        (max, one) => (one.t < began ? Math.max(max, one.seq) : max),
        0,
      )
      if (seq < before) this.#found.add('ack regression', `${u} with ${w} is at ${seq}, told was ${before}`)
    }
  }

  #all<E extends Entry['e']>(e: E): Of<E>[] {
    return this.#histories.flatMap((entries) => entries.filter((entry): entry is Of<E> => entry.e === e))
  }

  readonly #byUser = new Map<string, [string, string][]>()

  #conversationsOf(user: string): readonly [string, string][] {
    if (this.#byUser.size === 0) {
      for (const conversation of this.#rows.keys()) {
        const [lo = '', hi = ''] = conversation.split(' ')
        for (const [one, other] of lo === hi ? [[lo, lo] as const] : [[lo, hi] as const, [hi, lo] as const]) {
          const mine = this.#byUser.get(one) ?? []
          mine.push([conversation, other])
          this.#byUser.set(one, mine)
        }
      }
    }
    return this.#byUser.get(user) ?? []
  }

  #count(): Counts {
    const stored = new Set([...this.#rows.values()].flatMap((rows) => rows.map((row) => row[3])))
    const operations = [...this.#operations.values()]
    const acked = operations.filter(({ okSeq }) => okSeq !== undefined).length
    const failed = operations.filter(isFailed).length
    const recovered = operations.filter((one) => one.okSeq === undefined && !isFailed(one) && stored.has(one.id)).length
    const unknown = operations.length - acked - failed
    const conversations = this.#rows.size
    return { sends: operations.length, acked, failed, unknown, recovered, conversations, ...this.#counts }
  }
}

/** The whole send has failed only if every attempt has, definitely. */
function isFailed({ okSeq, attempts, failed }: Operation): boolean {
  return okSeq === undefined && attempts === failed
}
