import { EncodedEvent } from '../delivery/encoded.ts'
import { WaitedTooLong } from '../lib/semaphore.ts'
import { StoreUnavailable } from '../messages/store.ts'
import type { Command, CommandOf } from '../protocol/commands.ts'
import {
  DEFAULT_HISTORY_LIMIT,
  DEFAULT_LIST_LIMIT,
  MAX_READS_WAITING,
  MAX_SENDS_IN_FLIGHT,
} from '../protocol/limits.ts'
import type { Client } from './client.ts'

type ReadingType = 'history' | 'conversations' | 'sync'
type Handler<Type extends Command['type']> = (client: Client, command: CommandOf<Type>) => void | Promise<void>

/** The whole socket API: what each command means. */
const COMMANDS: { readonly [Type in Command['type']]: Handler<Type> } = {
  send: (client, command) => {
    if (client.sendsInFlight >= MAX_SENDS_IN_FLIGHT) return client.overshot(command)
    client.sendsInFlight += 1
    const id = client.services.messages.send(client.identity.userId, command, client, command.ref)
    if (id !== undefined) client.sending(command.receiver_id, id)
  },

  ack: move,
  read: move,

  typing: ({ services, identity }, { receiver_id, active = true }) => {
    services.fanout.typing(receiver_id, new EncodedEvent({ type: 'typing', sender_id: identity.userId, active }))
  },

  history: reading(async (client, { with: other, before, after, limit = DEFAULT_HISTORY_LIMIT, ref }) => {
    const { messages } = client.services
    const page = await messages.history(client.identity.userId, other, { before, after, limit })
    client.reply({ type: 'history', ref, with: other, messages: page.messages, has_more: page.hasMore })
  }),

  conversations: reading(async (client, { limit = DEFAULT_LIST_LIMIT, cursor, ref }) => {
    const page = await client.services.messages.conversations(client.identity.userId, limit, cursor)
    client.reply({
      type: 'conversations',
      ref,
      conversations: page.conversations,
      next_cursor: page.nextCursor,
    })
  }),

  sync: reading(async (client, { heads, since, ref }) => {
    const { messages, clock } = client.services
    const server_time = new Date(clock.now()).toISOString()
    const sinceMs = since === undefined ? undefined : Date.parse(since) - COMMIT_SLACK_MS
    const changed = await messages.changes(client.identity.userId, sinceMs, heads)
    client.reply({ type: 'sync', ref, changed, server_time })
  }),

  watch: (client, { user_ids, ref }) => client.watch(user_ids, ref),
  unwatch: (client, { user_ids }) => client.unwatch(user_ids),
  auth: notYet,

  ping: (client, { ref }) => client.reply({ type: 'pong', ref }),
}

/** A command that reads the store: in its turn, after what came before it, and not for a client that has gone meanwhile. */
function reading<Type extends ReadingType>(
  read: (client: Client, command: CommandOf<Type>) => Promise<void>,
): Handler<Type> {
  return (client, command) => {
    const { ref }: Command = command
    if (client.reads.waiting >= MAX_READS_WAITING) {
      const message = 'Too many commands wait for what they read; wait for replies.'
      return client.refuse({ code: 'too_many_in_flight', message, ...(ref !== undefined && { ref }) })
    }
    const { clock, readsUnderWay } = client.services
    const turn = async (): Promise<void> => {
      if (!client.isOpen) return
      await commandsBefore(client)
      await read(client, command)
    }
    const answered = client.reads.run(turn, { clock, ms: READ_WAIT_LIMIT_MS }).catch((error: unknown) => {
      failed(client, command, error)
    })
    readsUnderWay.add(answered)
    void answered.then(() => readsUnderWay.delete(answered))
  }
}

/** How long a read may wait for those before it: while the database hangs each of them takes several seconds. */
const READ_WAIT_LIMIT_MS = 2_000
/** Longer than any of our transactions may live: a change may carry a time this much before it became visible. */
const COMMIT_SLACK_MS = 10_000

/** Runs a command; whatever goes wrong becomes an error reply with the command's `ref`. */
export function runCommand(client: Client, command: Command): void {
  try {
    const pending = handlerOf(command.type)(client, command)
    if (pending !== undefined) void pending.catch((error: unknown) => failed(client, command, error))
  } catch (error) {
    failed(client, command, error)
  }
}

function handlerOf(type: Command['type']): (client: Client, command: Command) => void | Promise<void> {
  // The table's type ties each handler to its command; TypeScript can not follow that through a lookup by union.
  return COMMANDS[type] as (client: Client, command: Command) => void | Promise<void>
}

async function move(client: Client, command: CommandOf<'ack' | 'read'>): Promise<void> {
  const moved = client.services.messages.move(client.identity.userId, command, client)
  // Without its result, which would hold the one before, and that the one before it.
  client.moving = Promise.allSettled([client.moving, moved]).then(() => undefined)
  const code = await moved
  if (code) client.refuse({ code, ...(command.ref !== undefined && { ref: command.ref }) })
}

function notYet(client: Client, { type, ref }: Command): void {
  const message = `The command ${type} is not available on this server.`
  client.refuse({ code: 'invalid_request', message, field: 'type', ...(ref !== undefined && { ref }) })
}

/** Commands take effect in the order sent: what reads must see what this client sent and acknowledged before. */
async function commandsBefore(client: Client): Promise<void> {
  const { moving } = client
  if (client.sendsInFlight === 0 && !moving) return
  await moving
  await client.services.messages.flushed()
  if (client.moving === moving) client.moving = undefined
}

function failed(client: Client, { ref }: Command, error: unknown): void {
  const unavailable = error instanceof StoreUnavailable || error instanceof WaitedTooLong
  const { logger } = client.services
  const fields = { err: error, connection_id: client.identity.connectionId }
  if (unavailable) logger.warn(fields, 'a command could not read')
  else logger.error(fields, 'a command failed')
  client.refuse({ code: unavailable ? 'unavailable' : 'internal', ...(ref !== undefined && { ref }) })
}
