import { useState } from 'react'
import type { Invite } from '../../client/accounts.ts'
import { useMinute } from '../parts/now.ts'
import { formats, t } from '../texts/index.ts'
import { accounts } from './accounts.ts'
import { useAction } from './action.ts'
import { Problem } from './card.tsx'
import { useLoaded } from './loaded.ts'
import { Section } from './panel.tsx'
import { SecretLink } from './secret-link.tsx'

const DAY_SECONDS = 86_400
const USES = [1, 5, 25, 100]
const DAYS = [1, 7, 30]
const ask = (): Promise<readonly Invite[]> => accounts().invites.list()

/** Links by which new people come, and those that are still open. */
export function Invitations() {
  const { value: invites, failure, reload } = useLoaded(ask)
  const [form, setForm] = useState({ uses: 1, days: 7 })
  const [link, setLink] = useState<string>()
  const action = useAction()
  const make = () =>
    action.run(async () => {
      const made = await accounts().invites.create({ uses: form.uses, expires_in: form.days * DAY_SECONDS })
      setLink(made.url)
      await reload()
    })
  const remove = (id: string) => action.run(() => accounts().invites.remove(id).then(reload))
  return (
    <Section title={t('admin.invites')}>
      <div className="choices">
        <label>
          {t('admin.invite.uses')}
          <select value={form.uses} onChange={({ target }) => setForm({ ...form, uses: Number(target.value) })}>
            {USES.map((count) => (
              <option key={count} value={count}>
                {t('admin.invite.uses.count', { count })}
              </option>
            ))}
          </select>
        </label>
        <label>
          {t('admin.invite.days')}
          <select value={form.days} onChange={({ target }) => setForm({ ...form, days: Number(target.value) })}>
            {DAYS.map((count) => (
              <option key={count} value={count}>
                {t('admin.invite.days.count', { count })}
              </option>
            ))}
          </select>
        </label>
        <button type="button" className="primary" aria-disabled={action.isBusy} onClick={() => void make()}>
          {t('admin.invite.make')}
        </button>
      </div>
      <Problem failure={failure ?? action.failure} />
      {invites?.length === 0 ? (
        <p className="hint">{t('admin.invite.none')}</p>
      ) : (
        <ul className="rows">
          {invites?.map((invite) => (
            <OpenInvitation key={invite.code_id} invite={invite} onRemove={() => void remove(invite.code_id)} />
          ))}
        </ul>
      )}
      {link !== undefined && (
        <SecretLink
          title={t('admin.invite.link')}
          hint={t('admin.invite.hint')}
          link={link}
          onClose={() => setLink(undefined)}
        />
      )}
    </Section>
  )
}

function OpenInvitation({ invite, onRemove }: { invite: Invite; onRemove(): void }) {
  const now = useMinute()
  const left = t('admin.invite.left', { count: invite.uses ?? 1 })
  const until = invite.expires_at && formats().future(new Date(invite.expires_at), now)
  return (
    <li className="entry">
      <div>
        <b>{left}</b>
        {until && <p className="hint">{t('admin.invite.until', { when: until })}</p>}
      </div>
      <button
        type="button"
        className="link danger"
        aria-label={t('action.of', { action: t('action.remove'), name: left })}
        onClick={onRemove}
      >
        {t('action.remove')}
      </button>
    </li>
  )
}
