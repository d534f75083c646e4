import type { Command } from 'commander'
import type { Printable } from './output.ts'

/** What happened to a message; times as ISO 8601, and no text of anybody. */
export interface MessageTrace {
  readonly id: string
  readonly sender_id: string
  readonly receiver_id: string
  readonly seq: number
  /** Bytes of UTF-8. */
  readonly content_bytes: number
  readonly stored_at: string
  /** Of the conversation. */
  readonly last_seq: number
  readonly delivered: boolean
  readonly read: boolean
  /** How far the receiver is. */
  readonly delivered_seq: number
  readonly read_seq: number
  /** What there is to tell the receiver's browsers about the conversation; null: nothing, or it is not known any more. */
  readonly notification: {
    /** When somebody looks at it again; null: nothing is to be done. */
    readonly due_at: string | null
    readonly last_seq: number
    readonly pushed_seq: number | null
    readonly pushed_at: string | null
    readonly attempts: number
  } | null
  /** Browsers of the receiver that take notifications. */
  readonly subscriptions: number
}

/** By the id that its client gave it; of one of these people when that is said, which is quicker. */
export type Trace = (id: string, userId: string | undefined) => Promise<readonly MessageTrace[]>

export function addTrace(
  program: Command,
  withTrace: (work: (trace: Trace) => Promise<readonly MessageTrace[]>) => Promise<readonly MessageTrace[]>,
  print: (command: Command, value: Printable) => void,
): void {
  program
    .command('trace <message_id>')
    .description('what happened to a message: stored, delivered, read, notified')
    .option(
      '--user <user_id>',
      'who wrote or received it; without this every conversation is asked, which takes minutes where there are millions',
    )
    .action(async (id: string, { user }: { user?: string }, command: Command) => {
      if (!UUID.test(id)) throw new Error(`${JSON.stringify(id)} is no id of a message: that is a UUID.`)
      const found = await withTrace((trace) => trace(id, user))
      if (found.length === 0) throw new Error(nothingOf(id, user))
      print(command, { json: found, text: found.map(told).join('\n\n') })
    })
}

function nothingOf(id: string, user: string | undefined): string {
  if (user === undefined) return `No message ${id} is stored: whoever sent it has no "sent" for it.`
  return `No conversation of ${user} holds a message ${id}: leave out --user to look at those of everybody.`
}

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i

function told(trace: MessageTrace): string {
  const { id, seq, sender_id, receiver_id, delivered_seq, read_seq } = trace
  return [
    `${id}  ${sender_id} → ${receiver_id}, ${trace.content_bytes} bytes`,
    `stored     ${trace.stored_at} as number ${seq} of ${trace.last_seq}`,
    `delivered  ${trace.delivered ? 'yes' : 'no'}: ${receiver_id} has acknowledged up to ${delivered_seq}`,
    `read       ${trace.read ? 'yes' : 'no'}: up to ${read_seq}`,
    `notified   ${notified(trace)}`,
  ].join('\n')
}

function notified({ seq, notification, subscriptions }: MessageTrace): string {
  const browsers = `${subscriptions} ${subscriptions === 1 ? 'browser takes' : 'browsers take'} notifications`
  if (!notification) return `not known: never due, read before it was sent, or long ago; ${browsers}`
  const { due_at, pushed_seq, pushed_at, attempts } = notification
  if (pushed_seq !== null && pushed_seq >= seq) return `yes: ${pushed_at}, up to ${pushed_seq}; ${browsers}`
  if (due_at !== null) return `not yet: due ${due_at}, after ${attempts} failures; ${browsers}`
  return `no: it was not needed any more, or given up; ${browsers}`
}
