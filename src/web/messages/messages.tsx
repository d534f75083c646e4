import { useRef, useState } from 'react'
import type { MessageItem, Store } from '../../client/index.ts'
import { useClient, useStatus, useStore } from '../../client/react.ts'
import type { UserId } from '../../protocol/message.ts'
import { useCalmly } from '../parts/calm.ts'
import { Icon } from '../parts/icons.tsx'
import { useHour } from '../parts/now.ts'
import { usePerson } from '../parts/person.ts'
import { formats, t } from '../texts/index.ts'
import { Announcer } from './announcer.tsx'
import { copyRows } from './copying.ts'
import { dividedAt, useDivider } from './divider.ts'
import { placeOf, timeOf } from './grouping.ts'
import { type MessageList, useMessageList } from './message-list.ts'
import { useOlder } from './older.ts'
import { useReading } from './reading.ts'
import { MessageRow } from './row.tsx'
import { useStop } from './stop.ts'
import { lastStored } from './stored.ts'
import { useWaysDown } from './ways-down.ts'

interface MessagesProps {
  readonly other: UserId
  /** The id of what was written here last. */
  readonly sent: Store<string>
}

/** The messages of a conversation: as many rows are there as are in sight, and the newest stay in sight. */
export function Messages({ other, sent }: MessagesProps) {
  const { userId: me, conversation: conversationWith } = useClient()
  const conversation = conversationWith(other)
  const rows = useCalmly(conversation.messages)
  const { name } = usePerson(other)
  const scroller = useRef<HTMLDivElement>(null)
  const divider = useDivider(other)
  const stop = useStop(rows)
  const list = useMessageList({ rows, scroller, stop: stop.index })
  const way = useWaysDown({ rows, list, scroller, me, divider, conversation, sent })
  const range = list.range ?? undefined
  const isLoading = useOlder(conversation, range?.startIndex)
  useReading(conversation, range && way.isOpened ? lastStored(rows, range.endIndex)?.seq : undefined)
  const nameOf = ({ sender_id }: MessageItem): string => (sender_id === other ? name : t('talk.self'))
  return (
    <div className="stage">
      {rows.length === 0 && <Empty other={other} name={name} />}
      {isLoading && <p className="older">{t('talk.older')}</p>}
      <div
        className="log"
        role="log"
        aria-live="off"
        aria-label={t('talk.messages')}
        ref={scroller}
        onScroll={way.onScroll}
        onKeyDown={(event) => stop.steer(event, list)}
        onFocus={stop.onFocus}
        onCopy={(event) => copyRows(event, rows, nameOf)}
      >
        <Rows {...{ rows, list, me, nameOf }} stop={stop.index} divided={dividedAt(rows, me, divider.after)} />
      </div>
      {way.isAway && <Jump missed={way.missed} onJump={() => stop.goToEnd(list, scroller.current)} />}
      <Announcer other={other} name={name} />
    </div>
  )
}

interface RowsProps {
  readonly rows: readonly MessageItem[]
  readonly list: MessageList
  readonly me: UserId
  readonly stop: number
  readonly divided: number
  nameOf(row: MessageItem): string
}

function Rows({ rows, list, me, stop, divided, nameOf }: RowsProps) {
  const hour = useHour()
  return (
    <div className="rows" ref={list.containerRef}>
      {list.getVirtualItems().map(({ index, key }) => {
        const row = rows[index]
        if (!row) return null
        const { isFirst, isLast, beginsDay } = placeOf(rows, index, (at) => at === divided)
        return (
          <div key={key} data-index={index} ref={list.measureElement} className="place">
            <MessageRow
              {...{ row, isFirst, isLast }}
              name={nameOf(row)}
              isMine={row.sender_id === me}
              day={beginsDay ? formats().day(timeOf(row), hour) : undefined}
              isDivided={index === divided}
              isStop={index === stop}
            />
          </div>
        )
      })}
    </div>
  )
}

function Jump({ missed, onJump }: { missed: number; onJump: () => void }) {
  return (
    <button type="button" className="jump" onClick={onJump}>
      {missed > 0 ? t('talk.jump', { count: missed }) : <span className="sr">{t('talk.bottom')}</span>}
      <Icon name="down" size={18} />
    </button>
  )
}

/** Only when it is known that there is nothing. */
function Empty({ other, name }: { other: UserId; name: string }) {
  const { last_seq } = useStore(useClient().conversation(other).summary)
  const { state } = useStatus()
  const [wasLive, setWasLive] = useState(false)
  if (state === 'live' && !wasLive) setWasLive(true)
  if (last_seq > 0 || !wasLive) return null
  return (
    <div className="none over">
      <h2>{t('talk.empty')}</h2>
      <p>{t('talk.empty.hint', { name })}</p>
    </div>
  )
}
