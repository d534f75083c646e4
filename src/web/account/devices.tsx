import type { Session } from '../../client/accounts.ts'
import { useMinute } from '../parts/now.ts'
import { formats, t } from '../texts/index.ts'
import { accounts } from './accounts.ts'
import { useAction } from './action.ts'
import { Problem } from './card.tsx'
import { useLoaded } from './loaded.ts'
import { Panel, Section } from './panel.tsx'

const ask = (): Promise<readonly Session[]> => accounts().sessions()

/** Where a person is signed in, the present place first. */
export function Devices({ onLeave }: { onLeave(): void }) {
  const { value: sessions, failure, reload } = useLoaded(ask)
  const action = useAction()
  const end = (id: string) => action.run(() => accounts().endSession(id).then(reload))
  const endAll = () => action.run(() => accounts().logoutAll().then(onLeave))
  const sorted = sessions?.toSorted(
    (a, b) => Number(b.current) - Number(a.current) || b.last_used_at.localeCompare(a.last_used_at),
  )
  return (
    <Panel title={t('sessions.title')} back="/settings">
      <Section>
        <Problem failure={failure ?? action.failure} />
        <ul className="rows">
          {sorted?.map((session) => (
            <Device
              key={session.session_id}
              session={session}
              isBusy={action.isBusy}
              onEnd={() => void end(session.session_id)}
            />
          ))}
        </ul>
      </Section>
      <Section>
        <button type="button" className="link danger" aria-disabled={action.isBusy} onClick={() => void endAll()}>
          {t('sessions.all')}
        </button>
      </Section>
    </Panel>
  )
}

function Device({ session, isBusy, onEnd }: { session: Session; isBusy: boolean; onEnd(): void }) {
  const now = useMinute()
  const name = session.device_name ?? t('sessions.unnamed')
  const used = t('sessions.used', { when: formats().past(new Date(session.last_used_at), now) })
  return (
    <li className="entry">
      <div>
        <b>
          <bdi>{name}</bdi>
        </b>
        <p className="hint">{session.current ? t('sessions.this') : used}</p>
      </div>
      {!session.current && (
        <button
          type="button"
          className="link"
          aria-disabled={isBusy}
          aria-label={t('sessions.end.of', { name })}
          onClick={onEnd}
        >
          {t('sessions.end')}
        </button>
      )}
    </li>
  )
}
