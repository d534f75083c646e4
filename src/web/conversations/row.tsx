import { memo } from 'react'
import type { ConversationItem } from '../../client/index.ts'
import { useClient, useTyping } from '../../client/react.ts'
import { Avatar } from '../parts/avatar.tsx'
import { Link } from '../parts/link.tsx'
import { useHour } from '../parts/now.ts'
import { usePerson } from '../parts/person.ts'
import { chatPath } from '../parts/route.ts'
import { Tick } from '../parts/tick.tsx'
import { formats, t } from '../texts/index.ts'

/** Longer than any line of the list. */
const PREVIEW_LENGTH = 160

interface RowProps {
  readonly item: ConversationItem
  readonly index: number
  readonly isOpen: boolean
}

export const ConversationRow = memo(function ConversationRow({ item, index, isOpen }: RowProps) {
  const person = usePerson(item.with)
  const isUnread = item.unread > 0
  return (
    <Link
      className={isUnread ? 'item unread' : 'item'}
      href={chatPath(item.with)}
      data-item={index}
      data-with={item.with}
      aria-current={isOpen ? 'page' : undefined}
    >
      <Avatar {...person} />
      <span className="line">
        <span className="name">
          <bdi>{person.name}</bdi>
        </span>
        {person.isOnline && <span className="sr">{t('presence.online')}</span>}
        <When item={item} />
      </span>
      <span className="line">
        <span className="last">
          <Last item={item} />
        </span>
        {isUnread && <Badge count={item.unread} />}
      </span>
    </Link>
  )
})

function When({ item }: { item: ConversationItem }) {
  const hour = useHour()
  const at = item.last_message?.created_at
  if (at === undefined) return null
  return <time dateTime={at}>{formats().short(new Date(at), hour)}</time>
}

/** What the line below the name says: typing, a draft, or the last message. */
function Last({ item }: { item: ConversationItem }) {
  const isTyping = useTyping(item.with)
  const { userId } = useClient()
  const { last_message: last, draft } = item
  if (isTyping) return <span className="typing">{t('talk.typing.short')}</span>
  if (draft !== '')
    return (
      <span>
        <span className="draft">{t('list.draft')}</span> <bdi>{preview(draft)}</bdi>
      </span>
    )
  if (!last) return null
  return (
    <>
      {last.sender_id === userId && <Tick state={last.state} />}
      <span>
        <bdi>{preview(last.content)}</bdi>
      </span>
    </>
  )
}

const preview = (text: string): string => text.slice(0, PREVIEW_LENGTH).replace(/\s+/g, ' ')

export function Badge({ count }: { count: number }) {
  return (
    <span className="badge">
      <span aria-hidden="true">{count > 99 ? t('list.unread.short', { count: 99 }) : count}</span>
      <span className="sr">{count > 99 ? t('list.unread.many') : t('list.unread', { count })}</span>
    </span>
  )
}
