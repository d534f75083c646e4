import { createContext, type ReactNode, useContext, useEffect, useLayoutEffect, useRef, useState } from 'react'
import type { Status } from '../../client/index.ts'
import { useClient, useStatus, useStore } from '../../client/react.ts'
import { t } from '../texts/index.ts'
import { pause } from './session.ts'

/** A short break is nothing that anybody has to know. */
const PATIENCE_MS = 3000
const SECOND_MS = 1000

/** Whether something is wrong for so long that it is shown. One for the page: banners come and go with what is open. */
const Trouble = createContext(false)

/** Knows how long the connection has been gone, and tells screen readers: once an outage, whatever the banners go through. */
export function Outage({ children }: { children: ReactNode }) {
  const status = useStatus()
  const { state } = status
  const isLong = useLastsLonger(state !== 'live' && state !== 'stopped')
  const isShown = isLong || state === 'stopped'
  const said = useRef<string>(undefined)
  if (!isShown) said.current = undefined
  else if (state === 'stopped') said.current = textOf(status)
  else said.current ??= t(state === 'offline' ? 'line.offline' : 'line.out')
  return (
    <Trouble value={isShown}>
      <p className="sr" role="status">
        {said.current}
      </p>
      {children}
    </Trouble>
  )
}

/** What is wrong with the connection, and what can be done. Takes no room when all is well. */
export function Banner() {
  return (
    <>
      {useContext(Trouble) && <Shown />}
      <Forgetful />
    </>
  )
}

/** Only while there is something to lose: many people keep their browser from keeping anything. */
function Forgetful() {
  const { storage, pending } = useClient()
  const isForgetful = useStore(storage).kind === 'memory'
  const isWaiting = useLastsLonger(useStore(pending) > 0)
  // The region stays, so that screen readers hear what comes into it.
  return <div role="status">{isForgetful && isWaiting && <p className="banner">{t('line.memory')}</p>}</div>
}

function Shown() {
  const client = useClient()
  const status = useStatus()
  const { state, why, until } = status
  // Also whoever may not connect: what was refused may be lifted by now, and it is another session that is let in.
  const signIn = state === 'stopped' && (why === 'unauthorized' || why === 'forbidden')
  const isUnderWay = state !== 'offline' && state !== 'waiting' && state !== 'stopped'
  const act = signIn ? t('line.signin') : t(why === 'replaced' && state === 'stopped' ? 'line.here' : 'line.now')
  return (
    <div className="banner">
      <span>{state === 'waiting' ? <Countdown until={until ?? 0} /> : textOf(status)}</span>
      <Act isBusy={isUnderWay} onPress={() => (signIn ? void pause() : client.connect())}>
        {act}
      </Act>
    </div>
  )
}

function textOf({ state, why }: Status): string {
  if (state === 'offline') return t('line.offline')
  if (state === 'syncing') return t('line.syncing')
  if (state !== 'stopped') return t('line.connecting')
  return t(STOPPED[why ?? ''] ?? 'line.error')
}

const STOPPED: Readonly<Record<string, 'line.elsewhere' | 'line.unauthorized' | 'line.forbidden'>> = {
  replaced: 'line.elsewhere',
  unauthorized: 'line.unauthorized',
  forbidden: 'line.forbidden',
}

/** Stays while it does what it says, so that it keeps the focus; when it goes, one goes on where one writes. */
function Act({ isBusy, onPress, children }: { isBusy: boolean; onPress(): void; children: string }) {
  const button = useRef<HTMLButtonElement>(null)
  useLayoutEffect(() => {
    const { current } = button
    return () => {
      // Not after a tap, which would bring up a keyboard.
      if (current?.matches(':focus-visible'))
        (current.closest('main')?.querySelector('textarea') ?? document.querySelector('nav input'))?.focus()
    }
  }, [])
  return (
    <button type="button" ref={button} aria-disabled={isBusy} onClick={() => !isBusy && onPress()}>
      {children}
    </button>
  )
}

function Countdown({ until }: { until: number }) {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), SECOND_MS)
    return () => clearInterval(timer)
  }, [])
  return t('line.waiting', { count: Math.max(1, Math.ceil((until - now) / SECOND_MS)) })
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
