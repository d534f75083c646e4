import type { ErrorReply } from '../protocol/events.ts'
import { Alarm } from './clock.ts'
import type { ConversationLog } from './conversation-log.ts'
import type { Core } from './core.ts'
import { isForNow } from './errors.ts'
import { Pause } from './pause.ts'

const ACK_DELAY_MS = 250
const ACK_AFTER_MESSAGES = 32
const READ_DELAY_MS = 300
/** Begins the references of what is said, so that a refusal names its conversation. */
const REF = 'at '

/** What was said of a conversation at one time: up to where it was read; 0 when that was not said. */
interface Said {
  readonly reading: number
  /** How often something of the conversation had been refused. */
  readonly refusals: number
}

/**
 * Says how far this client is: `ack` for what is kept, `read` for what was read. Both are cumulative, so that few of them
 * speak for many messages. What may have been lost with a connection is said again on the next.
 */
export class Acks {
  readonly #core: Core
  readonly #alarm: Alarm
  readonly #pause: Pause
  readonly #pending = new Set<ConversationLog>()
  /** Said, and not yet known to have reached the server; another object each time. */
  readonly #unconfirmed = new Map<ConversationLog, Said>()
  /** Said on this connection. */
  readonly #reads = new Map<ConversationLog, number>()
  /** Of which something is to be said again: it was refused for now, or may be lost. */
  readonly #refused = new Set<ConversationLog>()
  #messages = 0

  constructor(core: Core) {
    this.#core = core
    this.#alarm = new Alarm(core.clock, () => this.flush())
    this.#pause = new Pause(core, () => this.flush())
  }

  /** `messages` more of this conversation are kept. */
  kept(log: ConversationLog, messages: number): void {
    if (log.ackable() <= log.positions.delivered_seq) return
    this.#pending.add(log)
    this.#messages += messages
    if (this.#messages >= ACK_AFTER_MESSAGES) this.flush()
    else this.#alarm.at(this.#core.clock.now() + ACK_DELAY_MS)
  }

  read(log: ConversationLog): void {
    this.#pending.add(log)
    this.#alarm.at(this.#core.clock.now() + READ_DELAY_MS)
  }

  /** Writes what is due. Without a connection it stays due. */
  flush(): void {
    this.#messages = 0
    if (this.#pause.isOn) return
    for (const log of this.#refused) if (log.reading === 0 && !this.#say('ack', log, log.keptTo())) return
    this.#refused.clear()
    for (const log of this.#pending) {
      const { reading } = log
      // It is said once the conversation is known to be the same.
      if (!log.isVerified) continue
      // A read speaks for everything below it: first all of that is kept, and the position itself, so that a reload says it again.
      if (reading > log.savedReading) continue
      const seq = log.ackable()
      const isRead = reading <= (this.#reads.get(log) ?? 0) || this.#say('read', log, reading)
      const isAcked = seq <= log.positions.delivered_seq || seq <= reading || this.#say('ack', log, seq)
      if (!isRead || !isAcked) continue
      if (reading > 0) this.#reads.set(log, reading)
      this.#pending.delete(log)
      this.#note(log, reading)
      if (log.move({ delivered_seq: Math.max(seq, reading) })) this.#core.logs.changed(log)
    }
  }

  /** After `welcome`: whatever the last connection may have lost. */
  again(): void {
    this.#reads.clear()
    for (const log of this.#core.logs.all()) if (log.reading > 0) this.#pending.add(log)
    for (const [log] of this.#unconfirmed) this.#refused.add(log)
    this.#pause.clear()
    this.flush()
  }

  /** The server brings again what it believes to be missing here. */
  repeated(log: ConversationLog): void {
    const seq = log.keptTo()
    if (this.#unconfirmed.has(log) || seq === 0) return
    this.#note(log, 0)
    if (this.#pause.isOn) this.#refused.add(log)
    else this.#say('ack', log, seq)
  }

  #say(type: 'ack' | 'read', log: ConversationLog, seq: number): boolean {
    return seq === 0 || this.#core.link.send({ type, with: log.with, seq, ref: REF + log.with })
  }

  #note(log: ConversationLog, reading: number): void {
    this.#unconfirmed.set(log, { reading, refusals: log.refusals })
  }

  /** Whether the error was about something said here. What is refused for now is said again, and nothing of it is confirmed. */
  refused(error: ErrorReply): boolean {
    const ref = String(error.ref)
    if (!ref.startsWith(REF) || !isForNow(error)) return false
    const log = this.#core.logs.of(ref.slice(REF.length))
    log.refusals += 1
    this.#note(log, log.reading)
    this.#reads.delete(log)
    this.#refused.add(log)
    if (log.reading > 0) this.#pending.add(log)
    this.#pause.refused(error.retry_after_ms)
    return true
  }

  /** What was said up to now; to be given to `confirmed` when a question that came after it is answered. */
  said(): ReadonlyMap<ConversationLog, Said> {
    return new Map([...this.#unconfirmed].filter(([log]) => !this.#refused.has(log)))
  }

  /** Commands of a connection take effect in their order. */
  confirmed(said: ReadonlyMap<ConversationLog, Said>): void {
    this.#pause.passed()
    for (const [log, one] of said) {
      if (one.refusals !== log.refusals) continue
      if (this.#unconfirmed.get(log) === one) this.#unconfirmed.delete(log)
      if (log.reading === 0 || log.reading > one.reading) continue
      log.reading = 0
      log.isChanged = true
      this.#core.logs.changed(log)
    }
  }

  /** What was said of a conversation was said of another line of history: no answer confirms anything of it any more. */
  forget(log: ConversationLog): void {
    this.#pending.delete(log)
    this.#unconfirmed.delete(log)
    this.#reads.delete(log)
    this.#refused.delete(log)
    log.refusals += 1
  }

  clear(): void {
    this.#alarm.clear()
    this.#pending.clear()
    this.#unconfirmed.clear()
    this.#reads.clear()
    this.#refused.clear()
    this.#pause.clear()
  }
}
