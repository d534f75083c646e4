import { useMemo, useRef, useState } from 'react'
import type { AdminUser, Profile } from '../../client/accounts.ts'
import { t } from '../texts/index.ts'
import { accounts } from './accounts.ts'
import { useAction } from './action.ts'
import { useConfirmed } from './again.tsx'
import { Problem } from './card.tsx'
import { Dialog } from './dialog.tsx'
import { Field } from './field.tsx'
import { TextButton } from './fields.tsx'
import { Invitations } from './invitations.tsx'
import { useLoaded } from './loaded.ts'
import { Panel, Section } from './panel.tsx'
import { type PersonAction, PersonRow } from './person-row.tsx'
import { SecretLink } from './secret-link.tsx'
import { useSettled } from './settled.ts'

/** What is shown in front of the list: whether to suspend somebody, or a link for them. */
interface Asked {
  readonly user: AdminUser
  readonly link?: string
}

/** For admins: who may come, who has an account, and what can be done about it. */
export function People({ me }: { me: Profile }) {
  const [text, setText] = useState('')
  const { users, failure, reload, more } = useEverybody(text.trim())
  const [asked, setAsked] = useState<Asked>()
  const action = useAction({ forbidden: 'error.last_admin' })
  const { isBusy, failure: refusal, run } = action
  const confirmed = useConfirmed(me.username ?? '', action)
  const { admin } = accounts()
  const act = (user: AdminUser, what: PersonAction): void => {
    const id = user.user_id
    if (what === 'suspend') setAsked({ user })
    else if (what === 'link') void confirmed.run(async () => setAsked({ user, link: await admin.resetLink(id) }))
    else if (what === 'unsuspend') void run(() => admin.unsuspend(id).then(reload))
    else void confirmed.run(() => admin.setRole(id, what).then(reload))
  }
  const suspend = (user: AdminUser) =>
    run(() => admin.suspend(user.user_id).then(reload)).then(() => setAsked(undefined))
  return (
    <Panel title={t('admin.title')} back="/settings">
      <Invitations />
      <Section title={t('admin.people')}>
        <Field label={t('admin.search')} type="search" value={text} onValue={setText} autoComplete="off" />
        <Problem failure={failure ?? refusal} />
        <ul className="rows">
          {users?.map((user) => (
            <PersonRow
              key={user.user_id}
              user={user}
              isMe={user.user_id === me.user_id}
              isBusy={isBusy}
              onAction={(what) => act(user, what)}
            />
          ))}
        </ul>
        {more && <TextButton onPress={more}>{t('action.more')}</TextButton>}
        {users?.length === 0 && <p className="hint">{t('list.nobody')}</p>}
      </Section>
      {confirmed.dialog}
      {asked && <Question {...asked} isBusy={isBusy} onSuspend={suspend} onClose={() => setAsked(undefined)} />}
    </Panel>
  )
}

interface QuestionProps extends Asked {
  readonly isBusy: boolean
  onSuspend(user: AdminUser): Promise<void>
  onClose(): void
}

function Question({ user, link, isBusy, onSuspend, onClose }: QuestionProps) {
  const name = user.display_name
  if (link !== undefined)
    return (
      <SecretLink
        title={t('admin.reset.link', { name })}
        hint={t('admin.reset.hint', { name })}
        link={link}
        onClose={onClose}
      />
    )
  return (
    <Dialog
      title={t('admin.suspend')}
      action={t('admin.suspend')}
      isDangerous
      isBusy={isBusy}
      onAction={() => void onSuspend(user)}
      onClose={onClose}
    >
      <p>{t('admin.suspend.ask', { name })}</p>
    </Dialog>
  )
}

interface Everybody {
  readonly users: readonly AdminUser[]
  readonly hasMore: boolean
}

/** Those whose names begin with what was typed, a page at first. `more`: asks for another one, where there is. */
function useEverybody(text: string) {
  const wanted = useSettled(text)
  const pages = useRef(1)
  const ask = useMemo(() => {
    pages.current = 1
    return () => everybody(wanted, pages.current)
  }, [wanted])
  const { value, failure, reload } = useLoaded(ask)
  const more = (): void => {
    pages.current += 1
    void reload()
  }
  return { users: value?.users, failure, reload, more: value?.hasMore ? more : undefined }
}

async function everybody(search: string, pages: number): Promise<Everybody> {
  const { admin } = accounts()
  const users: AdminUser[] = []
  let cursor: string | null = null
  for (let page = 0; page < pages && (page === 0 || cursor !== null); page += 1) {
    const answer: Awaited<ReturnType<typeof admin.users>> = await admin.users({
      search,
      ...(cursor !== null && { cursor }),
    })
    users.push(...answer.users)
    cursor = answer.next_cursor
  }
  return { users, hasMore: cursor !== null }
}
