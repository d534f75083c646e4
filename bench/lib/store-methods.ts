/** The ways to store a row that a bench compares; all write the same rows, prepared before the clock starts. */
import { randomUUID } from 'node:crypto'
import { Client, type ClientConfig } from 'pg'
import { systemClock } from '../../src/lib/clock.ts'
import { DependencyLog } from '../../src/lib/dependency-log.ts'
import { conversationBetween } from '../../src/messages/conversation.ts'
import { KnownHeads } from '../../src/messages/known-heads.ts'
import { PostgresMessageLog } from '../../src/messages/log.postgres.ts'
import type { OutcomeListener, QueuedSend } from '../../src/messages/send-queue.ts'
import { MessageWriter } from '../../src/messages/writer.ts'
import { openDatabase } from '../../src/postgres/database.ts'
import { PlainCopy } from './plain-copy.ts'
import { type BenchRow, copyRows, copyText, insertRow, insertRows, rowValues } from './rows.ts'
import type { StorePlan, StoreResult } from './store-plan.ts'

const content = 'x'.repeat(100)
/** Single INSERTs run side by side through so many connections, as through the pool of a peer. */
const insertConnections = 16
/** The sends are prepared long before they are given to the writer. */
const maxQueueAgeMs = 3_600_000
/** Prime: neighbours in a batch are not neighbours in the table. */
const stride = 7919
const conversationOf = (index: number, conversations: number): number => 1 + ((index * stride) % conversations)

/** Names of the two people of a conversation, in byte order; `fillConversations` makes the same. */
export const peopleOf = (conversation: number): readonly [string, string] => [`a${conversation}`, `b${conversation}`]

/** Conversations `1 … count` of `peopleOf`, without messages. */
export const fillConversations = (count: number): string => `
  insert into conversations (user_lo, user_hi, updated_at)
  select 'a' || n, 'b' || n, now() from generate_series(1, ${count}) n`

type Timed = Omit<StoreResult, 'cpuUsPerRow' | 'rowsPerSecond'>

/** Prepares the rows; what it returns stores them all and resolves when the last is committed. */
export type Method = (plan: StorePlan) => Promise<() => Promise<Timed>>

/** The service's own writer and store, without anything in front of them. */
export async function writerMethod(dsn: string): Promise<Method> {
  const logger = { debug: ignore, info: ignore, warn: fail, error: fail }
  const database = await openDatabase({ dsn, dataDir: '', poolMax: 2, logger })
  const { writerConnection, reader } = database
  const log = new PostgresMessageLog({
    writerConnection,
    reader,
    heads: new KnownHeads(),
    health: new DependencyLog({ dependency: 'PostgreSQL', logger, clock: systemClock }),
    beginnings: 'anybody',
  })
  const limits = { maxQueueRows: 20_000, maxQueueBytes: 2 ** 25, maxQueueAgeMs, maxBatchRows: 2000 }
  let batches = 0
  let settled = (_sends: readonly QueuedSend[]): void => undefined
  const observer = { committed: () => batches++, failed: (failure: string) => fail({}, failure) }
  const writer = new MessageWriter({
    log,
    clock: systemClock,
    logger,
    limits,
    observer,
    outcomes: { settled: (sends) => settled(sends) },
  })

  return async ({ rows, inFlight, conversations }) => {
    const sends = Array.from({ length: rows }, (_, index) => queuedSend(conversationOf(index, conversations)))
    batches = 0
    return () =>
      new Promise((resolve, reject) => {
        let [next, stored] = [0, 0]
        const append = (count: number): void => {
          for (const end = Math.min(next + count, rows); next < end; next++) {
            const send = sends[next]
            if (send !== undefined && writer.append(send) !== undefined) reject(new Error('the writer refused a send'))
          }
        }
        settled = (batch) => {
          if (batch.some(({ fate }) => fate !== 'stored')) reject(new Error('a send was not stored'))
          stored += batch.length
          if (stored === rows) resolve({ batchRows: rows / batches })
          else append(batch.length)
        }
        append(inFlight)
      })
  }
}

export async function copyMethod(config: ClientConfig): Promise<Method> {
  const client = await connected(config)
  return async (plan) => {
    const bodies = batchesOf(plan).map(copyText)
    return async () => {
      for (const body of bodies) await client.query(new PlainCopy(copyRows, body)).done
      return { batchRows: plan.rows / bodies.length }
    }
  }
}

export async function unnestMethod(config: ClientConfig): Promise<Method> {
  const client = await connected(config)
  return async (plan) => {
    const batches = batchesOf(plan).map((rows) => columnsOf(rows.map(rowValues)))
    return async () => {
      for (const values of batches) await client.query({ name: 'insert-rows', text: insertRows, values })
      return { batchRows: plan.rows / batches.length }
    }
  }
}

export async function insertMethod(config: ClientConfig): Promise<Method> {
  const clients = await Promise.all(Array.from({ length: insertConnections }, () => connected(config)))
  return async (plan) => {
    const values = rowsOf(plan).map(rowValues)
    return async () => {
      let next = 0
      const work = async (client: Client): Promise<void> => {
        for (let row = values[next++]; row !== undefined; row = values[next++]) {
          await client.query({ name: 'insert-row', text: insertRow, values: row })
        }
      }
      await Promise.all(clients.slice(0, plan.inFlight).map(work))
      return { batchRows: 1 }
    }
  }
}

async function connected(config: ClientConfig): Promise<Client> {
  const client = new Client(config)
  await client.connect()
  return client
}

function rowsOf({ rows, conversations }: StorePlan): BenchRow[] {
  const createdAt = new Date().toISOString()
  return Array.from({ length: rows }, (_, index) => {
    const conversationId = conversationOf(index, conversations)
    const seq = 1 + Math.floor(index / conversations)
    return { conversationId, seq, id: randomUUID(), senderId: peopleOf(conversationId)[0], content, createdAt }
  })
}

function batchesOf(plan: StorePlan): BenchRow[][] {
  const rows = rowsOf(plan)
  const batches: BenchRow[][] = []
  for (let start = 0; start < rows.length; start += plan.inFlight)
    batches.push(rows.slice(start, start + plan.inFlight))
  return batches
}

/** Array literals: pg would otherwise build them inside the measured time. */
function columnsOf(rows: readonly (readonly (string | number)[])[]): string[] {
  return (rows[0] ?? []).map((_, column) => `{${rows.map((row) => row[column]).join(',')}}`)
}

const origin: OutcomeListener = { settled: () => undefined }

function queuedSend(conversation: number): QueuedSend {
  const [sender_id, receiver_id] = peopleOf(conversation)
  return {
    conversation: conversationBetween(sender_id, receiver_id),
    id: randomUUID(),
    sender_id,
    receiver_id,
    content,
    seq: 0,
    created_at: '',
    fate: 'pending',
    asker: origin,
    ref: undefined,
    queuedAtMs: Date.now(),
    refusal: undefined,
  }
}

function ignore(): void {
  // The writer's ordinary log is of no interest here.
}

function fail(fields: object, msg: string): never {
  throw new Error(`${msg} ${JSON.stringify(fields)}`)
}
