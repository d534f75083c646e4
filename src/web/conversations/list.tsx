import { defaultRangeExtractor, type Range, useVirtualizer } from '@tanstack/react-virtual'
import { type FocusEvent, type KeyboardEvent, type RefObject, useCallback, useRef, useState } from 'react'
import type { ConversationItem } from '../../client/index.ts'
import { useClient } from '../../client/react.ts'
import { useCalmly } from '../parts/calm.ts'
import { rowIn, withRow } from '../parts/kept-row.ts'
import { useRoute } from '../parts/route.ts'
import { t } from '../texts/index.ts'
import { useReturn } from './returning.ts'
import { ConversationRow } from './row.tsx'

const ROW_PX = 66
const OVERSCAN = 6

/** Newest first, except while a pointer is over it: then nothing moves away under a finger that is about to press. */
export function ConversationList() {
  const route = useRoute()
  const open = route.screen === 'chat' ? route.with : undefined
  const [isHeld, setHeld] = useState(false)
  const items = useCalmOrder(useCalmly(useClient().conversations), isHeld)
  const scroller = useRef<HTMLUListElement>(null)
  const focus = useFocusedRow(items, open, scroller)
  const { getTotalSize, getVirtualItems, scrollToIndex } = useVirtualizer({
    count: items.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    getItemKey: useCallback((index: number) => items[index]?.with ?? index, [items]),
    overscan: OVERSCAN,
    rangeExtractor: useCallback(
      (range: Range) => withRow(defaultRangeExtractor(range), focus.index, range.count),
      [focus.index],
    ),
  })
  if (items.length === 0) return <Nothing />
  return (
    <ul
      className="list"
      ref={scroller}
      onPointerEnter={({ pointerType }) => setHeld(pointerType === 'mouse')}
      onPointerLeave={() => setHeld(false)}
      onKeyDown={(event) => steer(event, items.length, scrollToIndex)}
      onFocus={focus.onFocus}
    >
      <li className="room" style={{ blockSize: getTotalSize() }} aria-hidden="true" />
      {getVirtualItems().map(({ index, key, start }) => {
        const item = items[index]
        return (
          item && (
            <li key={key} className="place" style={{ transform: `translateY(${start}px)` }}>
              <ConversationRow item={item} index={index} isOpen={item.with === open} />
            </li>
          )
        )
      })}
    </ul>
  )
}

/** The row that has had the focus last: it stays, however far it is scrolled or moved away. */
function useFocusedRow(
  items: readonly ConversationItem[],
  open: string | undefined,
  list: RefObject<HTMLUListElement | null>,
) {
  const [focused, setFocused] = useState<string>()
  useReturn(open, (left) => {
    setFocused(left)
    // On a narrow screen there was no list: its rows come with the frame after the one that measures it.
    requestAnimationFrame(() => requestAnimationFrame(() => rowIn(list.current, 'with', left)?.focus()))
  })
  return {
    index: focused === undefined ? -1 : items.findIndex((item) => item.with === focused),
    onFocus: ({ target }: FocusEvent<HTMLElement>): void => setFocused(target.dataset['with']),
  }
}

function Nothing() {
  return (
    <div className="none">
      <h2>{t('list.empty')}</h2>
      <p>{t('list.empty.hint')}</p>
    </div>
  )
}

/** While it is held, what there was stays where it was, and what is new comes behind it. */
function useCalmOrder(items: readonly ConversationItem[], isHeld: boolean): readonly ConversationItem[] {
  const shown = useRef<readonly string[]>([])
  let ordered = items
  if (isHeld) {
    const place = new Map(shown.current.map((other, index) => [other, index]))
    ordered = items.toSorted((a, b) => (place.get(a.with) ?? items.length) - (place.get(b.with) ?? items.length))
  }
  shown.current = ordered.map((item) => item.with)
  return ordered
}

function steer(event: KeyboardEvent<HTMLElement>, count: number, show: (index: number) => void): void {
  const from = Number((event.target as HTMLElement).dataset['item'])
  const to = { ArrowDown: from + 1, ArrowUp: from - 1, Home: 0, End: count - 1 }[event.key]
  if (to === undefined || Number.isNaN(from)) return
  event.preventDefault()
  const list = event.currentTarget
  if (to < 0) list.closest('nav')?.querySelector<HTMLElement>('input[type=search]')?.focus()
  if (to < 0 || to >= count) return
  show(to)
  // Rows that come into sight are there with the next frame.
  requestAnimationFrame(() => list.querySelector<HTMLElement>(`[data-item="${to}"]`)?.focus())
}
