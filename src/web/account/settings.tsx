import { type ReactNode, useState } from 'react'
import { AuthError, type Profile as Own } from '../../client/accounts.ts'
import { useClient, useStore } from '../../client/react.ts'
import { Avatar } from '../parts/avatar.tsx'
import { Link } from '../parts/link.tsx'
import { usePerson } from '../parts/person.ts'
import { server } from '../parts/server.ts'
import { t } from '../texts/index.ts'
import { accounts } from './accounts.ts'
import { Appearance } from './appearance.tsx'
import { Problem } from './card.tsx'
import { Devices } from './devices.tsx'
import { Dialog } from './dialog.tsx'
import { TextButton } from './fields.tsx'
import { Install } from './install.tsx'
import { useLoaded } from './loaded.ts'
import { Notifications } from './notifications.tsx'
import { Panel, Section } from './panel.tsx'
import { People } from './people.tsx'
import { Profile } from './profile.tsx'
import { Security } from './security.tsx'

interface SettingsProps {
  /** '' or the name of one screen. */
  readonly part: string
  /** Ends everything of this person on this device. */
  onLeave(): void
}

async function askMe(): Promise<Own | undefined> {
  if (server.get()?.auth !== 'accounts') return undefined
  const me = await accounts().me()
  if (!me) throw new AuthError()
  return me
}

/** What a person can change, and on a server with accounts, what an admin can. */
export function Settings({ part, onLeave }: SettingsProps) {
  const { value: loaded, failure, reload } = useLoaded(askMe)
  const [changed, setChanged] = useState<Own>()
  const me = changed ?? loaded
  if (me && part === 'profile') return <Profile me={me} onChange={setChanged} />
  if (me && part === 'security') return <Security me={me} onLeave={onLeave} />
  if (me && part === 'devices') return <Devices onLeave={onLeave} />
  if (me?.role === 'admin' && part === 'people') return <People me={me} />
  return (
    <Panel title={t('settings.title')} back="/">
      <Section>
        <Whoever me={me} />
        <Problem failure={failure} />
        {failure && <TextButton onPress={() => void reload()}>{t('line.now')}</TextButton>}
      </Section>
      {me && (
        <Section title={t('settings.account')}>
          <nav aria-label={t('settings.account')}>
            <Way href="/settings/security">{t('password.title')}</Way>
            <Way href="/settings/devices">{t('sessions.title')}</Way>
            {me.role === 'admin' && <Way href="/settings/people">{t('admin.title')}</Way>}
          </nav>
        </Section>
      )}
      <Notifications />
      <Appearance />
      <Install />
      <Section>
        <SignOut onLeave={onLeave} />
      </Section>
      <p className="about">{t('settings.about', { version: server.get()?.version ?? '' })}</p>
    </Panel>
  )
}

function Way({ href, children }: { href: string; children: ReactNode }) {
  return (
    <Link className="way" href={href}>
      {children}
    </Link>
  )
}

function Whoever({ me }: { me: Own | undefined }) {
  const { userId } = useClient()
  const person = usePerson(userId)
  const [name, picture] = me ? [me.display_name, me.avatar] : [person.name, person.picture]
  const id = me?.username === undefined ? userId : `@${me.username}`
  const content = (
    <>
      <Avatar id={userId} name={name} picture={picture} />
      <span>
        <b>
          <bdi>{name}</bdi>
        </b>
        {id !== name && (
          <span className="hint">
            <bdi>{id}</bdi>
          </span>
        )}
      </span>
    </>
  )
  if (!me) return <div className="whoever">{content}</div>
  return (
    <Link className="whoever way" href="/settings/profile">
      {content}
    </Link>
  )
}

/** Asks first when something would be lost. */
function SignOut({ onLeave }: { onLeave(): void }) {
  const count = useStore(useClient().pending)
  const [isAsking, setAsking] = useState(false)
  return (
    <>
      <TextButton isDangerous onPress={() => (count === 0 ? onLeave() : setAsking(true))}>
        {t('settings.signout')}
      </TextButton>
      {isAsking && (
        <Dialog
          title={t('settings.signout')}
          action={t('settings.signout.anyway')}
          isDangerous
          onAction={onLeave}
          onClose={() => setAsking(false)}
        >
          <p>{t('settings.signout.ask', { count })}</p>
        </Dialog>
      )}
    </>
  )
}
