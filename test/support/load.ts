// Clients that keep sending through faults, as a good client does: ids of their own, what is not acked is sent again. What
// they were told is kept in a ledger, to be held against the database afterwards.
import { WebSocket } from 'ws'
import type { Target } from './service.ts'
import { rowsOf } from './transactions.ts'

/** One message that somebody wants stored. */
export interface Entry {
  readonly id: string
  readonly sender: string
  readonly receiver: string
  readonly content: string
  /** What the service acknowledged; undefined as long as it did not. */
  acked?: number
  /** How often it was handed to the service. */
  attempts: number
}

/** The service as clients know it. A test that breaks something puts a new promise here before it does. */
export interface Host {
  /** Where to connect. */
  service: Promise<Target>
  /** When what was refused as `unavailable` may be sent again. */
  storable: Promise<void>
}

export class Ledger {
  readonly entries: Entry[] = []
  #acked = 0
  #watchers: { readonly count: number; readonly resolve: () => void }[] = []

  /** Makes the entries of one sender, ids and receivers from the seed. */
  plan(sender: string, receivers: readonly string[], count: number, seed: number): Entry[] {
    const random = mulberry32(seed)
    const planned = Array.from({ length: count }, (_, index) => ({
      id: uuidFrom(random),
      sender,
      receiver: receivers[Math.floor(random() * receivers.length)] ?? sender,
      content: `${sender} ${index} ${'x'.repeat(Math.floor(random() * 200))}`,
      attempts: 0,
    }))
    this.entries.push(...planned)
    return planned
  }

  get acked(): number {
    return this.#acked
  }

  ack(entry: Entry, seq: number): void {
    if (entry.acked !== undefined && entry.acked !== seq) throw new Error(`${entry.id} was acked as two different seqs`)
    if (entry.acked === undefined) this.#acked += 1
    entry.acked = seq
    const reached = this.#watchers.filter(({ count }) => this.#acked >= count)
    this.#watchers = this.#watchers.filter((watcher) => !reached.includes(watcher))
    for (const { resolve } of reached) resolve()
  }

  /** Resolves when so many entries are acked. */
  reaches(count: number): Promise<void> {
    if (this.#acked >= count) return Promise.resolve()
    return new Promise((resolve) => this.#watchers.push({ count, resolve }))
  }

  /** Everything in which the database contradicts what clients were told; empty when nothing does. */
  async faults(dsn: string): Promise<string[]> {
    const rows = await rowsOf(dsn, 'select id, seq::int as seq, sender_id, content from messages')
    const stored = new Map<unknown, typeof rows>()
    for (const row of rows) stored.set(row.id, [...(stored.get(row.id) ?? []), row])
    const faults = this.entries.flatMap((entry) => faultOf(entry, stored.get(entry.id) ?? []))
    const known = new Set<unknown>(this.entries.map(({ id }) => id))
    faults.push(...rows.filter(({ id }) => !known.has(id)).map(({ id }) => `${id} was never sent`))
    const holes = await rowsOf(dsn, NOT_DENSE)
    return [...faults, ...holes.map((conversation) => `not dense: ${JSON.stringify(conversation)}`)]
  }
}

const NOT_DENSE = `
  select c.user_lo, c.user_hi, c.last_seq, count(m.seq), max(m.seq)
  from conversations c left join messages m using (conversation_id)
  group by c.conversation_id
  having count(m.seq) <> c.last_seq or coalesce(max(m.seq), 0) <> c.last_seq or coalesce(min(m.seq), 1) <> 1`

function faultOf({ id, acked, attempts, sender, content }: Entry, rows: readonly Record<string, unknown>[]): string[] {
  const [row] = rows
  if (rows.length > 1) return [`${id} is stored ${rows.length} times`]
  if (!row) return acked === undefined ? [] : [`${id} was acked as ${acked} and is lost`]
  if (attempts === 0) return [`${id} is stored and was never sent`]
  if (acked !== undefined && row.seq !== acked) return [`${id} was acked as ${acked} and is stored as ${row.seq}`]
  return row.sender_id === sender && row.content === content ? [] : [`${id} is not what was sent`]
}

const WINDOW = 32
/** What may be sent again as it is. */
const TEMPORARY = new Set(['unavailable', 'overloaded'])

/** Sends the entries over a WebSocket, many in flight; over a new connection when one is lost, if it may. */
export async function sendBySocket(
  host: Host,
  ledger: Ledger,
  entries: readonly Entry[],
  once = false,
): Promise<string[]> {
  const events: string[] = []
  const open = (): Entry[] => entries.filter(({ acked }) => acked === undefined)
  do {
    const { port } = await host.service
    await new Promise<void>((resolve, fail) => {
      const user = entries[0]?.sender ?? ''
      const socket = new WebSocket(`ws://127.0.0.1:${port}/ws?user_id=${user}`, 'messaging.v1.json')
      const queue = open()
      let inFlight = 0
      const pump = (): void => {
        while (inFlight < WINDOW && socket.readyState === WebSocket.OPEN) {
          const entry = queue.shift()
          if (!entry) break
          entry.attempts += 1
          inFlight += 1
          const { id, receiver: receiver_id, content } = entry
          socket.send(JSON.stringify({ type: 'send', receiver_id, content, id, ref: id }))
        }
        if (inFlight === 0 && queue.length === 0) socket.close(1000)
      }
      const byId = new Map(entries.map((entry) => [entry.id, entry]))
      const again = async (entry: Entry): Promise<void> => {
        await host.storable
        inFlight -= 1
        queue.push(entry)
        pump()
      }
      socket.on('message', (bytes) => {
        const frame = JSON.parse(String(bytes))
        const entry = byId.get(frame.ref)
        if (frame.type === 'draining') events.push(`draining ${typeof frame.reconnect_after_ms}`)
        if (!entry) return
        if (frame.type === 'sent') {
          ledger.ack(entry, frame.seq)
          inFlight -= 1
          pump()
        } else {
          events.push(String(frame.code))
          if (!TEMPORARY.has(frame.code)) fail(new Error(`refused: ${JSON.stringify(frame)}`))
          else if (once) inFlight -= 1
          else void again(entry)
        }
      })
      socket.on('open', pump)
      socket.on('error', (error) => events.push(error.message))
      socket.on('close', (code) => {
        events.push(`closed ${code}`)
        resolve()
      })
    })
  } while (!once && open().length > 0)
  return events
}

/** Sends the entries over REST, one after the other; again when there was no answer or a temporary refusal, if it may. */
export async function sendByRest(host: Host, ledger: Ledger, entries: readonly Entry[], once = false): Promise<void> {
  for (const entry of entries) {
    const { id, sender: sender_id, receiver: receiver_id, content } = entry
    const body = JSON.stringify({ id, sender_id, receiver_id, content })
    const headers = { 'Content-Type': 'application/json' }
    do {
      const { port } = await host.service
      entry.attempts += 1
      const url = `http://127.0.0.1:${port}/api/send_message`
      const answer = await fetch(url, { method: 'POST', headers, body }).then(
        async (response) => ({ status: response.status, ...((await response.json()) as { seq?: number }) }),
        // Cut off: nothing is known about it.
        () => undefined,
      )
      if (answer?.seq !== undefined) ledger.ack(entry, answer.seq)
      else if (answer && answer.status !== 503) throw new Error(`refused with ${answer.status}`)
      else if (answer) await host.storable
      if (once && !answer) return
    } while (!once && entry.acked === undefined)
  }
}

/** Small seeded generator: https://github.com/bryc/code/blob/master/jshash/PRNGs.md#mulberry32 */
function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function uuidFrom(random: () => number): string {
  const hex = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16)).join('')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`
}
