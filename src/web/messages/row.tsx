import { memo } from 'react'
import type { MessageItem } from '../../client/index.ts'
import { Tick } from '../parts/tick.tsx'
import { formats, t } from '../texts/index.ts'
import { Failure } from './failure.tsx'
import { timeOf } from './grouping.ts'
import { isEmoji, Text } from './text.tsx'

interface RowProps {
  readonly row: MessageItem
  /** The writer, as screen readers say it. */
  readonly name: string
  readonly isMine: boolean
  readonly isFirst: boolean
  readonly isLast: boolean
  /** Of the day that begins here. */
  readonly day: string | undefined
  /** Whether what is new begins here. */
  readonly isDivided: boolean
  /** The one row that the Tab key stops at. */
  readonly isStop: boolean
}

export const MessageRow = memo(function MessageRow(props: RowProps) {
  const { row, isMine, isFirst, isLast, day, isDivided, isStop } = props
  const exact = row.created_at === undefined ? undefined : formats().exact(timeOf(row))
  const isAside = row.state === 'failed' || row.state === 'held'
  const classes = ['msg', isMine && 'mine', isFirst && 'first', isLast && 'last', isEmoji(row.content) && 'big']
  return (
    <>
      {day !== undefined && <div className="day">{day}</div>}
      {isDivided && <div className="new">{t('talk.new')}</div>}
      <article
        className={classes.filter(Boolean).join(' ')}
        aria-label={labelOf(props)}
        aria-setsize={-1}
        aria-posinset={row.seq}
        tabIndex={isStop ? 0 : -1}
        data-message={row.id}
        data-seq={row.seq}
        data-state={row.state}
        data-exact={exact}
      >
        <div className="bubble">
          <div className="text" dir="auto">
            <Text id={row.id} content={row.content} />
            <Meta row={row} exact={exact} />
          </div>
        </div>
        {isAside && <Failure row={row} />}
      </article>
    </>
  )
})

function Meta({ row, exact }: { row: MessageItem; exact: string | undefined }) {
  const at = timeOf(row)
  return (
    <span className="meta">
      {row.created_at !== undefined && (
        <time dir="ltr" dateTime={row.created_at} title={exact}>
          {formats().clock(at)}
        </time>
      )}
      <Tick state={row.state} />
    </span>
  )
}

function labelOf({ row, name }: RowProps): string {
  const said = { name, when: formats().clock(timeOf(row)), text: row.content }
  return row.state === 'received'
    ? t('talk.row', said)
    : t('talk.row.state', { ...said, state: t(`state.${row.state}`) })
}
