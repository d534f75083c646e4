import { useEffect, useState } from 'react'
import { isLasting, keep, kept } from '../parts/kept.ts'
import { server } from '../parts/server.ts'
import { t } from '../texts/index.ts'
import { Card } from './card.tsx'

interface Person {
  readonly id: string
  readonly name: string
}
interface StrangerProps {
  readonly stranger: Person
  /** The person who is here now. */
  readonly present: Person
  onAnswer(isTaken: boolean): void
}

/** Anybody may call themselves anything: the id says who it is. Each keeps its own direction of writing. */
const shown = ({ id, name }: Person): string => (name === id ? id : `\u2068${name}\u2069 (\u2068${id}\u2069)`)

/** A link wants to sign another person in than the one who is here. */
export function StrangerDoor({ stranger, present, onAnswer }: StrangerProps) {
  const [name, now] = [shown(stranger), shown(present)]
  return (
    <Card
      title={t('auth.other.title', { name })}
      hint={t('auth.other.hint', { name, now })}
      onSubmit={() => onAnswer(true)}
    >
      <button type="button" className="quiet" onClick={() => onAnswer(false)}>
        {t('auth.other.keep', { now })}
      </button>
      <button type="submit" className="primary">
        {t('auth.other.take', { name })}
      </button>
    </Card>
  )
}

/** A link of this server, to an account or a new password, has come to somebody who is here. */
export function LinkDoor({ present, onAnswer }: { present: string; onAnswer(isTaken: boolean): void }) {
  return (
    <Card title={t('auth.link.title')} hint={t('auth.link.hint', { now: present })} onSubmit={() => onAnswer(true)}>
      <button type="button" className="quiet" onClick={() => onAnswer(false)}>
        {t('auth.other.keep', { now: present })}
      </button>
      <button type="submit" className="primary">
        {t('auth.link.take')}
      </button>
    </Card>
  )
}

/** When this tab was last sent to sign in: whoever comes back from there without a token is not sent again. */
const SENT_AT = 'sent-to-login'
const LOOP_MS = 30_000

/** The operator's own application signs people in. A browser that cannot tell who has just come from there sends nobody by itself. */
export function TokenDoor() {
  const address = server.get()?.login_url
  const [isGoing, setGoing] = useState(() => address !== undefined && !hasJustBeen())
  useEffect(() => {
    if (!isGoing || address === undefined) return
    keep(SENT_AT, String(Date.now()), 'sessionStorage')
    if (isLasting(SENT_AT, 'sessionStorage')) location.assign(address)
    else setGoing(false)
  }, [isGoing, address])
  if (isGoing) return <Card title={t('app.loading')}>{null}</Card>
  return (
    <Card title={t('auth.jwt.title')} hint={t('auth.jwt.hint')} onSubmit={() => address !== undefined && go(address)}>
      {address !== undefined && (
        <button type="submit" className="primary">
          {t('auth.jwt.go')}
        </button>
      )}
    </Card>
  )
}

const hasJustBeen = (): boolean => Date.now() - Number(kept(SENT_AT, 'sessionStorage') ?? 0) < LOOP_MS

function go(address: string): void {
  keep(SENT_AT, String(Date.now()), 'sessionStorage')
  location.assign(address)
}
