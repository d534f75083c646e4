import { type FocusEvent, type KeyboardEvent, useState } from 'react'
import type { MessageItem } from '../../client/index.ts'
import { rowIn } from '../parts/kept-row.ts'
import type { MessageList } from './message-list.ts'

const PAGE = 10

/** The one message that the Tab key stops at; the arrow keys go on from there. The last one, until another has had the focus. */
export function useStop(rows: readonly MessageItem[]) {
  const [chosen, setChosen] = useState<string>()
  const found = chosen === undefined ? -1 : rows.findIndex(({ id }) => id === chosen)
  const index = found >= 0 ? found : rows.length - 1
  /** A row that was out of sight is there with the next frame. */
  const focus = (id: string, log: HTMLElement | null): void => {
    setChosen(id)
    requestAnimationFrame(() => rowIn(log, 'message', id)?.focus({ preventScroll: true }))
  }
  const go = (to: number, log: HTMLElement, list: MessageList): void => {
    const id = rows[to]?.id
    if (id === undefined) return
    list.scrollToIndex(to, { align: 'auto' })
    focus(id, log)
  }
  return {
    index,
    /** The button that was pressed goes, and one goes on at the newest message, not at one that is out of sight now. */
    goToEnd: (list: MessageList, log: HTMLElement | null): void => {
      const id = rows.at(-1)?.id
      list.scrollToEnd()
      if (id !== undefined) focus(id, log)
    },
    onFocus: ({ target }: FocusEvent<HTMLElement>): void => {
      const id = target.closest<HTMLElement>('[data-message]')?.dataset['message']
      if (id !== undefined) setChosen(id)
    },
    steer: (event: KeyboardEvent<HTMLElement>, list: MessageList): void => {
      const log = event.currentTarget
      if (event.key === '/' || event.key === 'Escape') log.closest('main')?.querySelector('textarea')?.focus()
      else {
        const to = steps(index, rows.length - 1)[event.key]
        // Where a row has the focus, not a button in it.
        if (to === undefined || !(event.target as HTMLElement).matches('[data-message]')) return
        go(Math.min(Math.max(to, 0), rows.length - 1), log, list)
      }
      event.preventDefault()
    },
  }
}

function steps(from: number, last: number): Readonly<Record<string, number>> {
  return { ArrowUp: from - 1, ArrowDown: from + 1, PageUp: from - PAGE, PageDown: from + PAGE, Home: 0, End: last }
}
