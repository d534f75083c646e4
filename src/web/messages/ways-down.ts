import { type RefObject, useEffect, useLayoutEffect, useRef, useState } from 'react'
import type { Conversation, MessageItem } from '../../client/index.ts'
import { useStatus } from '../../client/react.ts'
import type { UserId } from '../../protocol/message.ts'
import { type Divider, dividedAt } from './divider.ts'
import { END_PX, type MessageList } from './message-list.ts'
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
  useOpening(options)
  useOwnSend(rows, me, () => {
    divider.clear()
    list.scrollToEnd()
  })
  useHeldEnd(scroller, isAtEnd)
  if (!isAway) known.current = lastStored(rows)?.seq ?? 0
  return {
    isAway,
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

/** Once the conversation is known as far as it goes, what is new is brought into sight. */
function useOpening({ rows, list, me, divider, conversation, scroller }: WaysOptions): void {
  const isOpened = useRef(false)
  const isElsewhere = useMovedByHand(scroller)
  const { state } = useStatus()
  const isSettled = state === 'live' || state === 'waiting' || state === 'offline'
  useLayoutEffect(() => {
    if (isOpened.current || !isSettled || rows.length === 0) return
    // Changes with the rows: nothing has to be rendered for it.
    const { last_seq, unread, read_seq } = conversation.summary.get()
    if ((lastStored(rows)?.seq ?? 0) < last_seq) return
    isOpened.current = true
    divider.open()
    if (isElsewhere.current) return
    const at = dividedAt(rows, me, unread > 0 ? read_seq : undefined)
    if (at > 0) list.scrollToIndex(at, { align: 'start' })
    else list.scrollToEnd()
  })
}

/** Whether the person has gone somewhere by themself: while much is being fetched they may have begun to read. */
function useMovedByHand(scroller: RefObject<HTMLDivElement | null>): RefObject<boolean> {
  const hasMoved = useRef(false)
  useEffect(() => {
    const ended = new AbortController()
    const move = (): void => {
      hasMoved.current = true
    }
    for (const name of ['wheel', 'touchmove'])
      scroller.current?.addEventListener(name, move, { signal: ended.signal, passive: true })
    return () => ended.abort()
  }, [scroller])
  return hasMoved
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
