import { type ReactNode, useEffect, useState } from 'react'
import type { Status } from '../../client/index.ts'
import { useClient, useStatus, useStore } from '../../client/react.ts'
import { t } from '../texts/index.ts'
import { pause } from './session.ts'

/** A short break is nothing that anybody has to know. */
const PATIENCE_MS = 3000
const SECOND_MS = 1000

/** What is wrong with the connection, and what can be done. Takes no room when all is well. */
export function Banner() {
  const status = useStatus()
  const isShown = useLastsLonger(status.state !== 'live' && status.state !== 'stopped') || status.state === 'stopped'
  // The region stays, so that screen readers hear what comes into it.
  return (
    <div role="status">
      {isShown && <Trouble status={status} />}
      <Forgetful />
    </div>
  )
}

/** Only while there is something to lose: many people keep their browser from keeping anything. */
function Forgetful() {
  const { storage, pending } = useClient()
  const isForgetful = useStore(storage).kind === 'memory'
  const isWaiting = useLastsLonger(useStore(pending) > 0)
  return isForgetful && isWaiting && <Line>{t('line.memory')}</Line>
}

function Trouble({ status }: { status: Status }) {
  const client = useClient()
  const action = (text: string, act: () => void): ReactNode => (
    <button type="button" onClick={act}>
      {text}
    </button>
  )
  const connect = (): void => client.connect()
  const { state, why, until } = status
  if (state === 'offline') return <Line>{t('line.offline')}</Line>
  if (state === 'waiting')
    return (
      <Line action={action(t('line.now'), connect)}>
        <Countdown until={until ?? 0} />
      </Line>
    )
  if (state !== 'stopped') return <Line>{t(state === 'syncing' ? 'line.syncing' : 'line.connecting')}</Line>
  if (why === 'replaced') return <Line action={action(t('line.here'), connect)}>{t('line.elsewhere')}</Line>
  if (why === 'unauthorized')
    return <Line action={action(t('line.signin'), () => void pause())}>{t('line.unauthorized')}</Line>
  if (why === 'forbidden') return <Line>{t('line.forbidden')}</Line>
  return <Line action={action(t('line.now'), connect)}>{t('line.error')}</Line>
}

function Line({ children, action }: { children: ReactNode; action?: ReactNode }) {
  return (
    <p className="banner">
      <span>{children}</span>
      {action}
    </p>
  )
}

/** The seconds are for eyes: a screen reader is told once that there is no connection. */
function Countdown({ until }: { until: number }) {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), SECOND_MS)
    return () => clearInterval(timer)
  }, [])
  const count = Math.max(1, Math.ceil((until - now) / SECOND_MS))
  return <span aria-live="off">{t('line.waiting', { count })}</span>
}

function useLastsLonger(isNow: boolean): boolean {
  const [isLong, setLong] = useState(false)
  useEffect(() => {
    const timer = isNow ? setTimeout(() => setLong(true), PATIENCE_MS) : undefined
    return () => {
      clearTimeout(timer)
      setLong(false)
    }
  }, [isNow])
  return isNow && isLong
}
