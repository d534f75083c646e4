import { randomBytes } from 'node:crypto'
import type { IdGenerator } from '@opentelemetry/sdk-trace-base'

export interface RootIds {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** 16 hexadecimal digits. */
  readonly spanId: string
}

/** The trace of a message and its root span: a UUID has as many digits as a trace id, and is never all zeros. */
export function rootOf(messageId: string): RootIds {
  const traceId = messageId.replaceAll('-', '')
  // The half with the variant of the UUID, which is not zero (RFC 9562 §4.1).
  return { traceId, spanId: traceId.slice(16) }
}

/** Whether a message of this id is among so large a part of all; every instance says the same of one id. */
export function isAmong(messageId: string, part: number): boolean {
  return part >= 1 || Number.parseInt(messageId.slice(-8), 16) < part * 2 ** 32
}

/** Gives a root the ids of its message, and everything else random ones. */
export class TraceIds implements IdGenerator {
  #root: RootIds | undefined

  /** What is started within the call and has no parent gets these ids. */
  as<T>(root: RootIds, start: () => T): T {
    this.#root = root
    try {
      return start()
    } finally {
      this.#root = undefined
    }
  }

  generateTraceId(): string {
    return this.#root?.traceId ?? randomBytes(16).toString('hex')
  }

  generateSpanId(): string {
    return this.#root?.spanId ?? randomBytes(8).toString('hex')
  }
}
