import {
  type Context,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import type { Envelope } from '../delivery/broker.ts'
import type { LocalUsers } from '../delivery/local-users.ts'
import type { Clock } from '../lib/clock.ts'
import type { CommitListener } from '../messages/commit-feed.ts'
import type { QueuedSend } from '../messages/send-queue.ts'
import type { SettledListener } from '../messages/settling.ts'
import type { PositionChange } from '../messages/store.ts'
import type { Message, UserId } from '../protocol/message.ts'
import { Deliveries } from './deliveries.ts'
import { rootOf, type TraceIds } from './trace-ids.ts'
import type { CommitAttempts } from './traced-log.ts'

export interface MessageTracesOptions {
  readonly tracer: Tracer
  /** The ids that the tracer gives to its next root. */
  readonly ids: TraceIds
  readonly attempts: CommitAttempts
  readonly isSampled: (messageId: string) => boolean
  readonly users: LocalUsers
  readonly clock: Pick<Clock, 'now'>
}

/**
 * The spans of one message, on however many instances it is touched. The trace has the id of the message, so that nothing has to
 * travel along: `send` (root), below it `queue` and `commit` once for each attempt; `deliver` on each instance that has a
 * connection of its receiver; and `acknowledge` where a client of the receiver said that it has it. Neither texts nor
 * the names of people are told.
 */
export class MessageTraces implements CommitListener {
  readonly #options: MessageTracesOptions
  readonly #deliveries = new Deliveries()

  constructor(options: MessageTracesOptions) {
    this.#options = options
  }

  /** The same outcomes, with a trace of each send. */
  tracing(outcomes: SettledListener): SettledListener {
    return {
      settled: (sends, positions) => {
        outcomes.settled(sends, positions)
        for (const send of sends) if (this.#options.isSampled(send.id)) this.#sent(send)
      },
    }
  }

  /** After the listener that pushes it to the sockets of this instance. */
  message(send: QueuedSend): void {
    if (this.#options.isSampled(send.id)) this.#delivered(send, this.#options.clock.now())
  }

  position({ conversation, user, delivered }: PositionChange): void {
    for (const { id, seq, atMs } of this.#deliveries.acknowledged(conversation, user, delivered)) {
      const { tracer, clock } = this.#options
      const attributes = { 'messaging.seq': seq }
      const options = { kind: SpanKind.CONSUMER, startTime: atMs, attributes }
      tracer.startSpan('acknowledge', options, below(rootOf(id))).end(clock.now())
    }
  }

  batchDone(): void {
    // Each was told when it came.
  }

  /** What another instance committed was pushed to connections of this user here; `beganMs`: when it came. */
  received(userId: UserId, envelopes: readonly Envelope[], beganMs: number): void {
    for (const { message, json } of envelopes) {
      // The sender's other devices are told as well.
      if (message?.receiver_id !== userId) continue
      const id = idIn(json)
      if (id !== undefined && this.#options.isSampled(id)) this.#delivered({ ...message, id }, beganMs)
    }
  }

  #delivered(message: Pick<Message, 'id' | 'seq' | 'sender_id' | 'receiver_id'>, beganMs: number): void {
    const { tracer, users, clock } = this.#options
    const connections = users.of(message.receiver_id).length
    if (connections === 0) return
    const attributes = { 'messaging.seq': message.seq, 'messaging.connections': connections }
    const options = { kind: SpanKind.CONSUMER, startTime: beganMs, attributes }
    tracer.startSpan('deliver', options, below(rootOf(message.id))).end(clock.now())
    this.#deliveries.note(message, clock.now())
  }

  #sent(send: QueuedSend): void {
    const { tracer, ids, attempts, clock } = this.#options
    const root = rootOf(send.id)
    const attributes = {
      'messaging.message.id': send.id,
      'messaging.operation.name': 'send',
      'messaging.message.body.size': Buffer.byteLength(send.content),
      'messaging.outcome': send.refusal ?? send.fate,
      ...(send.refusal === undefined && { 'messaging.seq': send.seq }),
    }
    const span = ids.as(root, () =>
      tracer.startSpan(
        'send',
        { kind: SpanKind.SERVER, root: true, startTime: send.queuedAtMs, attributes },
        ROOT_CONTEXT,
      ),
    )
    const inside = trace.setSpan(ROOT_CONTEXT, span)
    let waitedFromMs = send.queuedAtMs
    for (const { beganMs, endedMs, failure } of attempts.of(send)) {
      tracer.startSpan('queue', { startTime: waitedFromMs }, inside).end(beganMs)
      const commit = tracer.startSpan('commit', { kind: SpanKind.CLIENT, startTime: beganMs }, inside)
      if (failure !== undefined) commit.setStatus({ code: SpanStatusCode.ERROR, message: failure })
      commit.end(endedMs)
      waitedFromMs = endedMs
    }
    if (send.refusal !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: send.refusal })
    span.end(clock.now())
  }
}

function below(root: Pick<SpanContext, 'traceId' | 'spanId'>): Context {
  return trace.setSpanContext(ROOT_CONTEXT, { ...root, traceFlags: TraceFlags.SAMPLED, isRemote: true })
}

/** Of a message frame as another instance wrote it. */
function idIn(json: string): string | undefined {
  return /"id":"([0-9a-f-]{36})"/.exec(json)?.[1]
}
