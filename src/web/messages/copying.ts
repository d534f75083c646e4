import type { ClipboardEvent } from 'react'
import type { MessageItem } from '../../client/index.ts'
import { formats, t } from '../texts/index.ts'
import { timeOf } from './grouping.ts'

/** When several messages are selected, what is copied says who wrote each, and when. Within one message it is just the text. */
export function copyRows(
  event: ClipboardEvent<HTMLElement>,
  rows: readonly MessageItem[],
  nameOf: (row: MessageItem) => string,
): void {
  const selection = getSelection()
  if (!selection || selection.isCollapsed) return
  const chosen = new Set(
    [...event.currentTarget.querySelectorAll<HTMLElement>('[data-message]')]
      .filter((element) => selection.containsNode(element, true))
      .map((element) => element.dataset['message']),
  )
  if (chosen.size < 2) return
  const lines = rows
    .filter(({ id }) => chosen.has(id))
    .map((row) => t('talk.copied', { when: formats().exact(timeOf(row)), name: nameOf(row), text: row.content }))
  event.clipboardData.setData('text/plain', lines.join('\n'))
  event.preventDefault()
}
