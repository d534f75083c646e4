import type { MouseEvent } from 'react'
import type { MessageItem } from '../../client/index.ts'
import { useClient } from '../../client/react.ts'
import { refusalText } from '../parts/refusal.ts'
import { t } from '../texts/index.ts'

/** Why a message was not sent, and what can be done with it. */
export function Failure({ row }: { row: MessageItem }) {
  const { retry, takeBack, discard } = useClient().conversation(row.receiver_id)
  // The buttons go with what they did; one goes on where one writes.
  const then =
    (act: (id: string) => void) =>
    ({ currentTarget }: MouseEvent<HTMLElement>): void => {
      currentTarget.closest('main')?.querySelector('textarea')?.focus()
      act(row.id)
    }
  return (
    <div className="fail" role="alert">
      <span>{refusalText(row.state === 'held' ? 'held' : row.code)}</span>
      <button type="button" onClick={then(retry)}>
        {t('action.retry')}
      </button>
      {row.isUnstored && (
        <button type="button" onClick={then(takeBack)}>
          {t('action.edit')}
        </button>
      )}
      <button type="button" onClick={then(discard)}>
        {t('action.delete')}
      </button>
    </div>
  )
}
