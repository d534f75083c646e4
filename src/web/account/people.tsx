import { useMemo, useState } from 'react'
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

/** The people who have come so far. */
interface Everybody {
  readonly users: readonly AdminUser[]
  readonly pages: number
  /** Where the next page begins; null after the last. */
  readonly cursor: string | null
}
const NOBODY: Everybody = { users: [], pages: 0, cursor: null }

/** Those whose names begin with what was typed, a page at first. `more`: asks for another one, where there is. */
function useEverybody(text: string) {
  const wanted = useSettled(text)
  const list = useMemo(() => everybody(wanted), [wanted])
  const { value, failure, reload } = useLoaded(list.ask)
  const more = (shown: Everybody): void => {
    list.want(shown.pages + 1)
    void reload()
  }
  return {
    ...{ users: value?.users, failure, more: value && value.cursor !== null ? () => more(value) : undefined },
    /** All of them anew: something about one has changed. */
    reload: (): Promise<void> => {
      list.forget()
      return reload()
    },
  }
}

function everybody(search: string) {
  let known = NOBODY
  let pages = 1
  return {
    /** As many pages as are wanted; those that are known are not asked for again. */
    async ask(): Promise<Everybody> {
      const before = known
      let all = before
      while (all.pages === 0 || (all.pages < pages && all.cursor !== null)) all = await withNext(search, all)
      // Forgotten meanwhile, or another answer was first: this one is shown, and nothing is added to it.
      if (known === before) known = all
      return all
    },
    want: (count: number): void => {
      pages = count
    },
    forget: (): void => {
      known = { ...NOBODY }
    },
  }
}

async function withNext(search: string, { users, pages, cursor }: Everybody): Promise<Everybody> {
  const answer = await accounts().admin.users({ search, ...(cursor !== null && { cursor }) })
  return { users: [...users, ...answer.users], pages: pages + 1, cursor: answer.next_cursor }
}
