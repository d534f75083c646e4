import { useEffect, useState } from 'react'
import type { MessageItem } from '../../client/index.ts'
import { useClient } from '../../client/react.ts'
import type { UserId } from '../../protocol/message.ts'

export interface Divider {
  /** What is new is above this `seq`; undefined when nothing is. */
  readonly after: number | undefined
  /** The conversation has been opened: from here on what comes is seen coming. */
  open(): void
  clear(): void
}

/** Where what is new begins: at what was not read when the conversation was opened, or when the person looked away. */
export function useDivider(other: UserId): Divider {
  // Looked at, not rendered: it changes with each message.
  const { summary } = useClient().conversation(other)
  const [after, setAfter] = useState<number>()
  useEffect(() => {
    let isAway = !document.hasFocus()
    let before = summary.get().unread
    const end = summary.subscribe(() => {
      const { unread, read_seq } = summary.get()
      if (isAway && before === 0 && unread > 0) setAfter(read_seq)
      before = unread
    })
    const leave = (): void => {
      isAway = true
    }
    const come = (): void => {
      isAway = false
    }
    addEventListener('blur', leave)
    addEventListener('focus', come)
    return () => {
      end()
      removeEventListener('blur', leave)
      removeEventListener('focus', come)
    }
  }, [summary])
  return {
    after,
    open: () => {
      const now = summary.get()
      setAfter(now.unread > 0 ? now.read_seq : undefined)
    },
    clear: () => setAfter(undefined),
  }
}

/** Index of the row that what is new begins with; -1 when there is none. */
export function dividedAt(rows: readonly MessageItem[], me: UserId, after: number | undefined): number {
  if (after === undefined) return -1
  return rows.findIndex(({ seq, sender_id }) => seq !== undefined && seq > after && sender_id !== me)
}
