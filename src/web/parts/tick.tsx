import type { MessageState } from '../../client/index.ts'
import { t } from '../texts/index.ts'

/** What has become of an own message, drawn, and in a word for screen readers. */
export function Tick({ state }: { state: MessageState }) {
  if (state === 'received') return null
  const isUnderWay = state === 'queued' || state === 'sending'
  const isAside = state === 'failed' || state === 'held'
  return (
    <>
      <svg className={`tick ${state}`} viewBox="0 0 16 11" aria-hidden="true">
        {isUnderWay && (
          <>
            <circle cx="8" cy="5.5" r="4.4" />
            <path d="M8 3.2v2.5l1.6 1" />
          </>
        )}
        {isAside && (
          <>
            <circle cx="8" cy="5.5" r="4.4" />
            <path d="M8 3.3v2.6M8 7.8v.1" />
          </>
        )}
        {!isUnderWay && !isAside && <path d="m1.5 6 2.8 3L9.6 2.4" />}
        {(state === 'delivered' || state === 'read') && <path d="m7.2 8 .9 1L13.6 2.4" />}
      </svg>
      <span className="sr">{t(`state.${state}`)}</span>
    </>
  )
}
