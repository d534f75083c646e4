import type { Audience } from '../delivery/audience.ts'
import { EncodedEvent } from '../delivery/encoded.ts'
import type { Fanout } from '../delivery/fanout.ts'
import type { Clock } from '../lib/clock.ts'
import { Unavailable } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import type { Epoch } from '../messages/epoch.ts'
import type { MessageService } from '../messages/service.ts'
import { COMMIT_SLACK_MS, InvalidCursor } from '../messages/store.ts'
import type { Command, CommandOf, Ref } from '../protocol/commands.ts'
import {
  DEFAULT_HISTORY_LIMIT,
  DEFAULT_LIST_LIMIT,
  MAX_READS_WAITING,
  MAX_SENDS_IN_FLIGHT,
} from '../protocol/limits.ts'
import type { Advancing, Caller } from './caller.ts'
import { READ_WAIT_LIMIT_MS } from './read-turns.ts'
import type { ServerTime } from './server-time.ts'
import type { TokenLives } from './token-lives.ts'
import { CURSOR_FAULT } from './wire/faults.ts'

export interface CommandServices {
  readonly messages: MessageService
  readonly epoch: Pick<Epoch, 'current'>
  readonly fanout: Pick<Fanout, 'typing'>
  readonly clock: Clock
  readonly serverTime: ServerTime
  readonly logger: Logger
  /** Told who looks at a client, and who no longer does. */
  readonly audience: Pick<Audience, 'changed'>
  /** None under `AUTH=none`. */
  readonly tokenLives: Pick<TokenLives, 'renew'> | undefined
  /** What is to be answered when a look at the store or at presence is done; each settles, and never rejects, then. */
  readonly answersUnderWay: Set<Promise<void>>
}

/** Runs a command; every failure becomes an error reply with the command's `ref`. */
export type RunCommand = (caller: Caller, command: Command) => void

type Handler<Type extends Command['type']> = (
  services: CommandServices,
  caller: Caller,
  command: CommandOf<Type>,
) => void

type ReadingType = 'history' | 'conversations' | 'sync'

/** The whole socket API: what each command means. */
const COMMANDS: { readonly [Type in Command['type']]: Handler<Type> } = {
  send: ({ messages }, caller, command) => {
    if (caller.sendsInFlight >= MAX_SENDS_IN_FLIGHT) return caller.overshot(command)
    caller.sendsInFlight += 1
    const id = messages.send(caller.identity.userId, command, caller, command.ref)
    if (id !== undefined) caller.sending(command.receiver_id, id)
  },

  ack: advance,
  read: advance,

  typing: ({ fanout }, { identity }, { receiver_id, active = true }) => {
    fanout.typing(receiver_id, new EncodedEvent({ type: 'typing', sender_id: identity.userId, active }))
  },

  history: reading(async ({ messages }, caller, { with: peer, before, after, limit = DEFAULT_HISTORY_LIMIT, ref }) => {
    const page = await messages.history(caller.identity.userId, peer, { before, after, limit })
    caller.reply({ type: 'history', ref, with: peer, messages: page.messages, has_more: page.hasMore })
  }),

  conversations: reading(async ({ messages }, caller, { limit = DEFAULT_LIST_LIMIT, cursor, ref }) => {
    const page = await messages.conversations(caller.identity.userId, limit, cursor)
    caller.reply({
      type: 'conversations',
      ref,
      conversations: page.conversations,
      next_cursor: page.nextCursor,
    })
  }),

  sync: reading(async ({ messages, epoch, serverTime }, caller, { heads, since, ref }) => {
    const sinceMs = since === undefined ? undefined : Date.parse(since) - COMMIT_SLACK_MS
    const { found, asOfMs } = await messages.changes(caller.identity.userId, sinceMs, heads)
    const server_time = serverTime.asOf(asOfMs)
    caller.reply({ type: 'sync', ref, changed: found, server_time, epoch: epoch.current })
  }),

  // It watches at once, so that an `unwatch` which follows finds it done; what is now is told in its turn.
  watch: (services, caller, command) => {
    const { user_ids, ref } = command
    if (isRefusedForWaiting(caller, command) || !caller.watch(user_ids, ref)) return
    void inTurn(services, caller, command, () => caller.tellStates(user_ids))
  },
  unwatch: (_services, caller, { user_ids }) => caller.unwatch(user_ids),
  auth: ({ tokenLives }, caller, { token, ref }) => {
    if (tokenLives) tokenLives.renew(caller, token, ref)
    else authIsOff(caller, ref)
  },
  state: ({ audience }, caller, { active }) => {
    caller.isLooking = active
    audience.changed(caller.identity.userId)
  },

  ping: (_services, caller, { ref }) => caller.reply({ type: 'pong', ref }),
}

/** A command that reads the store: in its turn, and after what came before it. */
function reading<Type extends ReadingType>(
  read: (services: CommandServices, caller: Caller, command: CommandOf<Type>) => Promise<void>,
): Handler<Type> {
  return (services, caller, command) => {
    if (isRefusedForWaiting(caller, command)) return
    // Those before this command: one that comes later may wait behind it.
    const { advancing } = caller
    void inTurn(services, caller, command, async () => {
      if (!caller.isOpen) return
      await commandsBefore(services, caller, advancing)
      await read(services, caller, command)
    })
  }
}

function isRefusedForWaiting(caller: Caller, { ref }: Command): boolean {
  if (caller.turns.waiting < MAX_READS_WAITING) return false
  const message = 'Too many commands wait for what they read; wait for replies.'
  caller.refuse({ code: 'too_many_in_flight', message, ref })
  return true
}

/** What takes a look at the store or at presence: a few at a time. What is returned never rejects. */
function inTurn(
  services: CommandServices,
  caller: Caller,
  command: Command,
  answer: () => Promise<void>,
): Promise<void> {
  const { clock, answersUnderWay } = services
  const answered = caller.turns.run(answer, { clock, ms: READ_WAIT_LIMIT_MS }).catch((error: unknown) => {
    failed(services, caller, command, error)
  })
  answersUnderWay.add(answered)
  void answered.then(() => answersUnderWay.delete(answered))
  return answered
}

export function commandRunner(services: CommandServices): RunCommand {
  return (caller, command) => {
    try {
      handlerOf(command.type)(services, caller, command)
    } catch (error) {
      failed(services, caller, command, error)
    }
  }
}

/** Every command, as registered. */
export const COMMAND_TYPES = Object.keys(COMMANDS) as readonly Command['type'][]

type AnyHandler = (services: CommandServices, caller: Caller, command: Command) => void

function handlerOf(type: Command['type']): AnyHandler {
  // The table's type ties each handler to its command; TypeScript cannot follow that through a lookup by union.
  return COMMANDS[type] as AnyHandler
}

/** Names in a command that cost as much as a command of their own. */
const NAMES_PER_COMMAND = 10

/** How many commands it counts for where commands are counted. */
export function costOf(command: Command): number {
  if (command.type !== 'watch' && command.type !== 'unwatch') return 1
  return Math.max(1, Math.ceil(command.user_ids.length / NAMES_PER_COMMAND))
}

function advance(services: CommandServices, caller: Caller, command: CommandOf<'ack' | 'read'>): void {
  const { messages } = services
  const { userId } = caller.identity
  if (messages.isKnownSeq(userId, command.with, command.seq)) {
    const code = messages.advanceStored(userId, command, caller)
    caller.advancing = { looks: caller.advancing?.looks }
    if (code) caller.refuse({ code, ref: command.ref })
    return
  }
  if (isRefusedForWaiting(caller, command)) return
  // Also when the client has gone before its turn: what it has read it has read.
  const looked = inTurn(services, caller, command, async () => {
    const code = await messages.advance(userId, command, caller)
    if (code) caller.refuse({ code, ref: command.ref })
  })
  // Without its result, which would hold the one before, and that the one before it.
  caller.advancing = { looks: Promise.all([caller.advancing?.looks, looked]).then(() => undefined) }
}

/** With `AUTH=none` there is nothing to prove. */
function authIsOff(caller: Caller, ref: Ref | undefined): void {
  const message =
    'type must be another command: this server asks for no token, user_id in the address says who you are.'
  caller.refuse({ code: 'invalid_request', message, field: 'type', ref })
}

/** Commands take effect in the order sent: what reads must see what this client sent and acknowledged before. */
async function commandsBefore(
  { messages }: CommandServices,
  caller: Caller,
  advancing: Advancing | undefined,
): Promise<void> {
  if (caller.sendsInFlight === 0 && !advancing) return
  await advancing?.looks
  await messages.allSettled()
  if (caller.advancing === advancing) caller.advancing = undefined
}

function failed({ logger }: CommandServices, caller: Caller, { ref }: Command, error: unknown): void {
  if (error instanceof InvalidCursor) return caller.refuse({ ...CURSOR_FAULT, ref })
  const unavailable = error instanceof Unavailable
  const fields = { err: error, connection_id: caller.identity.connectionId }
  // Said once for all of them by whoever looks after the database.
  if (unavailable) logger.debug(fields, 'a command could not read')
  else logger.error(fields, 'a command failed')
  caller.refuse({ code: unavailable ? 'unavailable' : 'internal', ref })
}
