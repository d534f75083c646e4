import { type RefObject, useEffect, useLayoutEffect, useReducer, useRef, useState } from 'react'
import type { Conversation, MessageItem } from '../../client/index.ts'
import { useStatus } from '../../client/react.ts'
import type { UserId } from '../../protocol/message.ts'
import { type Divider, dividedAt } from './divider.ts'
import type { MessageList } from './message-list.ts'
import { lastStored } from './stored.ts'

/** Messages that come at a time. */
const PAGE = 50
/** Nobody who has been away for longer begins to read there. */
const MAX_PAGES = 20

interface OpeningOptions {
  readonly rows: readonly MessageItem[]
  readonly list: MessageList
  readonly scroller: RefObject<HTMLDivElement | null>
  readonly me: UserId
  readonly divider: Divider
  readonly conversation: Conversation
}

/**
 * Once the conversation is known as far as it goes, the first message that is new is brought into sight, from however far above
 * it has to be fetched. True as soon as what is in sight is what the person came to see: before that nothing counts as read.
 */
export function useOpening({ rows, list, me, divider, conversation, scroller }: OpeningOptions): boolean {
  const isOpened = useRef(false)
  /** What was read when it was opened; undefined until then. */
  const read = useRef<number>(undefined)
  const older = useOlderPages(conversation)
  const isElsewhere = useMovedByHand(scroller)
  const { state } = useStatus()
  const isSettled = state === 'live' || state === 'waiting' || state === 'offline'
  const [isReadable, setReadable] = useState(false)
  useLayoutEffect(() => {
    if (isOpened.current || !isSettled) return
    // Changes with the rows: nothing has to be rendered for it.
    const { last_seq, unread, read_seq } = conversation.summary.get()
    if (read.current === undefined) {
      const isWhole = (lastStored(rows)?.seq ?? 0) >= last_seq && (rows.length > 0 || state === 'live')
      if (!isWhole) return setReadable(rows.length > 0)
      divider.open()
      read.current = unread > 0 ? read_seq : last_seq
    }
    const isWaiting = !isElsewhere.current && older.reach(read.current + 1, rows)
    setReadable(!isWaiting)
    if (isWaiting) return
    isOpened.current = true
    if (isElsewhere.current || rows.length === 0) return
    const isThere = (rows[0]?.seq ?? 0) <= read.current + 1
    const at = isThere ? dividedAt(rows, me, read.current) : -1
    if (at >= 0) list.scrollToIndex(at, { align: 'start' })
    else list.scrollToEnd()
  })
  return isReadable
}

/** Fetches one page after the other, up to a message. */
function useOlderPages({ messages, hasOlder, loadOlder }: Conversation) {
  const [, render] = useReducer((count: number) => count + 1, 0)
  const pages = useRef(0)
  const isLoading = useRef(false)
  const load = async (): Promise<void> => {
    isLoading.current = true
    pages.current += 1
    const first = messages.get()[0]?.seq
    await loadOlder()
    isLoading.current = false
    // What cannot be had now is not waited for. Not by what it says: another may have asked for the same page.
    if (messages.get()[0]?.seq === first) pages.current = MAX_PAGES
    render()
  }
  return {
    /** True while the message may still come into the rows. */
    reach: (seq: number, rows: readonly MessageItem[]): boolean => {
      const first = messages.get()[0]?.seq ?? 1
      const isMissing = first > seq && hasOlder.get() && first - seq <= MAX_PAGES * PAGE && pages.current < MAX_PAGES
      if (isMissing && !isLoading.current) void load()
      // What has come is rendered a moment later.
      return isLoading.current || isMissing || (rows[0]?.seq ?? 1) !== first
    },
  }
}

/** Keys that scroll. */
const MOVES = /^(Arrow(Up|Down)|Page(Up|Down)|Home|End| )$/

/** Whether the person has gone somewhere by themself: while much is being fetched they may have begun to read. */
function useMovedByHand(scroller: RefObject<HTMLDivElement | null>): RefObject<boolean> {
  const hasMoved = useRef(false)
  useEffect(() => {
    const ended = new AbortController()
    const move = (event: Event): void => {
      if (event instanceof KeyboardEvent && !MOVES.test(event.key)) return
      // Of presses, those of the bar that scrolls alone.
      if (event.type === 'pointerdown' && event.target !== event.currentTarget) return
      hasMoved.current = true
    }
    for (const name of ['wheel', 'touchmove', 'keydown', 'pointerdown'])
      scroller.current?.addEventListener(name, move, { signal: ended.signal, passive: true })
    return () => ended.abort()
  }, [scroller])
  return hasMoved
}
