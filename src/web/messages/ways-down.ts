import { type RefObject, useEffect, useLayoutEffect, useRef, useState } from 'react'
import type { Conversation, MessageItem } from '../../client/index.ts'
import type { UserId } from '../../protocol/message.ts'
import type { Divider } from './divider.ts'
import { END_PX, type MessageList } from './message-list.ts'
import { useOpening } from './opening.ts'
import { countAfter, lastStored } from './stored.ts'

interface WaysOptions {
  readonly rows: readonly MessageItem[]
  readonly list: MessageList
  readonly scroller: RefObject<HTMLDivElement | null>
  readonly me: UserId
  readonly divider: Divider
  readonly conversation: Conversation
}

/** Where the person stands in the conversation: at what is new, at the end, or away from it with a way back. */
export function useWaysDown(options: WaysOptions) {
  const { rows, list, scroller, me, divider } = options
  const [isAway, setAway] = useState(false)
  /** Of the newest message that had been in sight before the person scrolled away. */
  const known = useRef(0)
  const isAtEnd = useRef(true)
  useFollowing(rows, isAtEnd, list)
  const isOpened = useOpening(options)
  useOwnSend(rows, me, () => {
    divider.clear()
    list.scrollToEnd()
  })
  useHeldEnd(scroller, isAtEnd)
  if (!isAway) known.current = lastStored(rows)?.seq ?? 0
  return {
    isAway,
    /** False while what is in sight is not yet what the person came to see. */
    isOpened,
    missed: isAway ? countAfter(rows, known.current, me) : 0,
    down: () => {
      list.scrollToEnd()
      // The button that was pressed goes.
      scroller.current?.querySelector<HTMLElement>('[data-message][tabindex="0"]')?.focus({ preventScroll: true })
    },
    onScroll: () => {
      const element = scroller.current
      if (!element) return
      isAtEnd.current = distanceToEnd(element) <= END_PX
      setAway(!isAtEnd.current)
    },
  }
}

const distanceToEnd = ({ scrollHeight, scrollTop, clientHeight }: Element): number =>
  scrollHeight - scrollTop - clientHeight

/**
 * A reader who is at the end stays there when a message comes in above what could not be sent: the list itself follows only what
 * comes last. Before the opening, which may go elsewhere.
 */
function useFollowing(rows: readonly MessageItem[], isAtEnd: RefObject<boolean>, list: MessageList): void {
  const newest = lastStored(rows)?.id
  const before = useRef(newest)
  useLayoutEffect(() => {
    if (newest === before.current) return
    before.current = newest
    if (isAtEnd.current && rows.at(-1)?.seq === undefined) list.scrollToEnd()
  })
}

/** Calls when the newest row is one that was written here since. */
function useOwnSend(rows: readonly MessageItem[], me: UserId, sent: () => void): void {
  const last = rows.at(-1)
  const before = useRef(last?.id)
  useEffect(() => {
    if (last?.id === before.current) return
    const isNew = last?.sender_id === me && last.seq === undefined
    before.current = last?.id
    if (isNew) sent()
  })
}

/** A reader who is at the end stays there when the room for messages becomes smaller, as under a keyboard. */
function useHeldEnd(scroller: RefObject<HTMLDivElement | null>, isAtEnd: RefObject<boolean>): void {
  useEffect(() => {
    const element = scroller.current
    if (!element) return
    const observer = new ResizeObserver(() => {
      if (isAtEnd.current) element.scrollTop = element.scrollHeight
    })
    observer.observe(element)
    return () => observer.disconnect()
  }, [scroller, isAtEnd])
}
