import {
  defaultRangeExtractor,
  measureElement,
  type Range,
  useVirtualizer,
  type VirtualItem,
  type Virtualizer,
} from '@tanstack/react-virtual'
import { type Key, type RefObject, useCallback, useState } from 'react'
import type { MessageItem } from '../../client/index.ts'
import { withRow } from '../parts/kept-row.ts'

/** Within it the newest message counts as being in sight. */
export const END_PX = 48
const OVERSCAN = 8
const LINE_PX = 22
const FRAME_PX = 18
const CHARACTERS_A_LINE = 60
const EDGE_PX = 16
/** Of the exact time above the row that has the focus. */
const LABEL_PX = 28

interface ListOptions {
  readonly rows: readonly MessageItem[]
  readonly scroller: RefObject<HTMLDivElement | null>
  /** Index of the row that has the focus, or would get it: it stays, wherever one scrolls. */
  readonly stop: number
}

/** Where each row stands, and which of them are in sight. What is in sight stays where it is when older ones come above it. */
export function useMessageList({ rows, scroller, stop }: ListOptions) {
  const list = useVirtualizer<HTMLDivElement, HTMLDivElement>({
    count: rows.length,
    getScrollElement: () => scroller.current,
    getItemKey: useCallback((index: number) => rows[index]?.id ?? index, [rows]),
    estimateSize: useCallback((index: number) => guessedHeight(rows[index]?.content ?? ''), [rows]),
    measureElement: measuredTogether,
    overscan: OVERSCAN,
    paddingStart: EDGE_PX,
    paddingEnd: EDGE_PX,
    // Room for the ring around the row that has the focus, and for what stands above it.
    scrollPaddingStart: EDGE_PX + LABEL_PX,
    scrollPaddingEnd: EDGE_PX,
    anchorTo: 'end',
    followOnAppend: true,
    scrollEndThreshold: END_PX,
    directDomUpdates: true,
    // What is measured or scrolled to is placed at once all the same; only which rows there are waits for React's turn.
    useFlushSync: false,
    rangeExtractor: useCallback((range: Range) => withRow(defaultRangeExtractor(range), stop, range.count), [stop]),
  })
  const formerFirst = useFormerFirst(rows)
  list.shouldAdjustScrollPositionOnItemSizeChange = (item, delta) =>
    (item.key === formerFirst && delta < 0 && item.start <= topOf(scroller) + EDGE_PX) || keepsWhatIsSeen(item, list)
  return list
}

const topOf = ({ current }: RefObject<HTMLDivElement | null>): number => current?.scrollTop ?? 0

/** The row that was the first before older ones came above it: it loses the name of its day then, which stood above all that is seen. */
function useFormerFirst(rows: readonly MessageItem[]): Key | undefined {
  const now = rows[0]?.id
  const [first, setFirst] = useState<{ now: Key | undefined; before: Key | undefined }>({ now, before: undefined })
  if (first.now !== now) setFirst({ now, before: first.now })
  return first.now === now ? first.before : first.now
}

/** Heights of the rows that have come into the document with the present rendering; undefined between two renderings. */
let together: Map<Element, number> | undefined

/**
 * The library asks for one row after the other and places each before it asks for the next, which makes the browser lay the page
 * out once for every row. All that are new are there when it asks for the first: their heights are read at once.
 */
function measuredTogether(
  row: HTMLDivElement,
  entry: ResizeObserverEntry | undefined,
  list: Virtualizer<HTMLDivElement, HTMLDivElement>,
): number {
  const { itemSizeCache, options } = list
  const keyOf = (element: Element): Key => options.getItemKey(list.indexFromElement(element as HTMLDivElement))
  if (entry || itemSizeCache.has(keyOf(row))) return measureElement(row, entry, list)
  if (!together) {
    const rows = [...(row.parentElement?.children ?? [])].filter((element) => !itemSizeCache.has(keyOf(element)))
    together = new Map(rows.map((element) => [element, (element as HTMLDivElement).offsetHeight]))
    queueMicrotask(() => {
      together = undefined
    })
  }
  return together.get(row) ?? row.offsetHeight
}

/** Also while scrolling up, where the library would not. */
function keepsWhatIsSeen({ key, start, end }: VirtualItem, list: Virtualizer<HTMLDivElement, HTMLDivElement>): boolean {
  const top = list.scrollOffset ?? 0
  return end <= top || (start < top && !list.itemSizeCache.has(key))
}

export type MessageList = ReturnType<typeof useMessageList>

function guessedHeight(content: string): number {
  const lines = content.split('\n').reduce((sum, line) => sum + Math.ceil((line.length + 1) / CHARACTERS_A_LINE), 0)
  return FRAME_PX + Math.min(lines, 25) * LINE_PX
}
