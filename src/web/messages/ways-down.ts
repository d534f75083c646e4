import { type RefObject, useEffect, useLayoutEffect, useRef, useState } from 'react'
import type { Conversation, MessageItem, Store } from '../../client/index.ts'
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
  readonly sent: Store<string>
}

/** Where the person stands in the conversation: at what is new, at the end, or away from it with a way back. */
export function useWaysDown(options: WaysOptions) {
  const { rows, list, scroller, me, divider, sent } = options
  const [isAway, setAway] = useState(false)
  /** Of the newest message that had been in sight before the person scrolled away. */
  const known = useRef(0)
  const isAtEnd = useRef(true)
  useFollowing(rows, isAtEnd, list)
  const isOpened = useOpening(options)
  useOwnSend(rows, sent, () => {
    divider.clear()
    isAtEnd.current = true
    list.scrollToEnd()
  })
  const look = () => {
    const element = scroller.current
    if (!element) return
    isAtEnd.current = distanceToEnd(element) <= END_PX
    setAway(!isAtEnd.current)
  }
  useHeldEnd({ scroller, isAtEnd, isOpened, look })
  if (!isAway) known.current = lastStored(rows)?.seq ?? 0
  return {
    isAway,
    /** False while what is in sight is not yet what the person came to see. */
    isOpened,
    missed: isAway ? countAfter(rows, known.current, me) : 0,
    onScroll: look,
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

/**
 * What is written here is brought into sight, wherever one was reading: at once, and again when its row is there. Rows do not tell
 * by themselves: those of other tabs wait here as well, and one that is stored at once never did.
 */
function useOwnSend(rows: readonly MessageItem[], sent: Store<string>, go: () => void): void {
  const awaited = useRef('')
  const goes = useRef(go)
  goes.current = go
  useEffect(
    () =>
      sent.subscribe(() => {
        awaited.current = sent.get()
        goes.current()
      }),
    [sent],
  )
  useLayoutEffect(() => {
    if (awaited.current === '' || !rows.some(({ id }) => id === awaited.current)) return
    awaited.current = ''
    goes.current()
  }, [rows])
}

interface HeldEndOptions {
  readonly scroller: RefObject<HTMLDivElement | null>
  readonly isAtEnd: RefObject<boolean>
  readonly isOpened: boolean
  /** Notes whether the reader is at the end. */
  look(): void
}

/** A reader who is at the end stays there when the room for messages becomes smaller, as under a keyboard. */
function useHeldEnd({ scroller, isAtEnd, isOpened, look }: HeldEndOptions): void {
  const looks = useRef(look)
  looks.current = look
  useEffect(() => {
    const element = scroller.current
    if (!element || !isOpened) return
    let isFirst = true
    const observer = new ResizeObserver(() => {
      // The first call is no change of size. One that opens at the very first message is not scrolled, which would have told.
      if (isFirst) looks.current()
      isFirst = false
      if (isAtEnd.current) element.scrollTop = element.scrollHeight
    })
    observer.observe(element)
    return () => observer.disconnect()
  }, [scroller, isAtEnd, isOpened])
}
