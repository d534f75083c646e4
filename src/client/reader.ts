import type { Message } from '../protocol/message.ts'
import { ChatError } from './errors.ts'
import type { Events } from './events.ts'

const MAX_BEHIND = 256

/**
 * Messages as they come, for `for await`, until one of the signals. A reader that is too far behind is told so: nothing is left
 * out in silence.
 */
export function readMessages(
  events: Events,
  signals: readonly (AbortSignal | undefined)[],
): AsyncIterableIterator<Message> {
  const waiting: Message[] = []
  let wake: (() => void) | undefined
  let isOver = false
  let hasOverflown = false
  const end = (): void => {
    isOver = true
    off()
    for (const signal of signals) signal?.removeEventListener('abort', end)
    wake?.()
  }
  const off = events.on('message', (message) => {
    if (waiting.length >= MAX_BEHIND) hasOverflown = true
    else waiting.push(message)
    if (hasOverflown) end()
    wake?.()
  })
  for (const signal of signals) {
    signal?.addEventListener('abort', end)
    if (signal?.aborted) end()
  }
  const next = async (): Promise<IteratorResult<Message>> => {
    for (;;) {
      const message = waiting.shift()
      if (message) return { done: false, value: message }
      if (hasOverflown)
        throw new ChatError({ code: 'overflow', message: `The reader is ${MAX_BEHIND} messages behind.` })
      if (isOver) return { done: true, value: undefined }
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  return {
    next,
    async return() {
      end()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
