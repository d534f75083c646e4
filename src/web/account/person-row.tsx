import { useRef } from 'react'
import type { AdminUser } from '../../client/accounts.ts'
import { Avatar } from '../parts/avatar.tsx'
import { t } from '../texts/index.ts'
import { TextButton } from './fields.tsx'

/** What an admin can do about somebody; `admin` and `member` are roles to give. */
export type PersonAction = 'admin' | 'member' | 'link' | 'suspend' | 'unsuspend'

interface PersonRowProps {
  readonly user: AdminUser
  readonly isMe: boolean
  readonly isBusy: boolean
  onAction(action: PersonAction): void
}

export function PersonRow({ user, isMe, isBusy, onAction }: PersonRowProps) {
  const isSuspended = user.state === 'suspended'
  const name = user.display_name
  return (
    <li className="entry">
      <Avatar id={user.user_id} name={name} picture={user.avatar} isSmall />
      <div>
        <b>
          <bdi>{name}</bdi>
        </b>
        <p className="hint">
          <bdi>@{user.username}</bdi>
          {user.role === 'admin' && <span className="tag">{t('admin.role.admin')}</span>}
          {isSuspended && <span className="tag bad">{t('admin.suspended')}</span>}
          {isMe && <span className="tag">{t('admin.you')}</span>}
        </p>
      </div>
      {!isMe && <Actions user={user} isSuspended={isSuspended} isBusy={isBusy} onAction={onAction} />}
    </li>
  )
}

type ActionsProps = Omit<PersonRowProps, 'isMe'> & { readonly isSuspended: boolean }

function Actions({ user, isSuspended, isBusy, onAction }: ActionsProps) {
  const details = useRef<HTMLDetailsElement>(null)
  const isAdmin = user.role === 'admin'
  /** What was in it cannot have the focus any more. */
  const close = (): void => {
    details.current?.querySelector('summary')?.focus()
    details.current?.removeAttribute('open')
  }
  const button = (text: string, action: PersonAction, isDangerous = false) => (
    <TextButton
      label={t('action.of', { action: text, name: user.display_name })}
      isDangerous={isDangerous}
      isBusy={isBusy}
      onPress={() => {
        close()
        onAction(action)
      }}
    >
      {text}
    </TextButton>
  )
  return (
    <details className="more" ref={details} name="person-actions" onKeyDown={({ key }) => key === 'Escape' && close()}>
      <summary aria-label={t('admin.actions', { name: user.display_name })}>⋯</summary>
      <div className="menu">
        {isAdmin ? button(t('admin.demote'), 'member') : button(t('admin.promote'), 'admin')}
        {button(t('admin.reset'), 'link')}
        {isSuspended ? button(t('admin.unsuspend'), 'unsuspend') : button(t('admin.suspend'), 'suspend', true)}
      </div>
    </details>
  )
}
