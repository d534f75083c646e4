import { type ChangeEvent, type FormEvent, useRef, useState } from 'react'
import type { Accounts, Profile as Own } from '../../client/accounts.ts'
import { Avatar } from '../parts/avatar.tsx'
import { t } from '../texts/index.ts'
import { accounts } from './accounts.ts'
import { useAction } from './action.ts'
import { errorAt, Problem } from './card.tsx'
import { DisplayName, Submit, Switch, TextButton, Username } from './fields.tsx'
import { Panel, Section } from './panel.tsx'
import { squareOf } from './picture.ts'

interface ProfileProps {
  readonly me: Own
  onChange(me: Own): void
}

/** How others see a person, and by which name they find them. */
export function Profile({ me, onChange }: ProfileProps) {
  const { isBusy, failure, run } = useAction()
  const change = (isDiscoverable: boolean) =>
    run(async () => onChange({ ...me, ...(await accounts().updateProfile({ discoverable: isDiscoverable })) }))
  return (
    <Panel title={t('profile.title')} back="/settings">
      <Section>
        <Picture me={me} onChange={onChange} />
      </Section>
      <Section>
        <Names me={me} onChange={onChange} />
      </Section>
      <Section>
        <Switch
          label={t('profile.discoverable')}
          isOn={me.discoverable ?? true}
          isBusy={isBusy}
          onChange={(isOn) => void change(isOn)}
        />
        <Problem failure={failure} />
      </Section>
    </Panel>
  )
}

function Names({ me, onChange }: ProfileProps) {
  const [name, setName] = useState(me.display_name)
  const [username, setUsername] = useState(me.username ?? '')
  const [isSaved, setSaved] = useState(false)
  const { isBusy, failure, run } = useAction()
  const wanted: Parameters<Accounts['updateProfile']>[0] = {
    ...(name.trim() !== me.display_name && { display_name: name.trim() }),
    ...(username.trim() !== me.username && { username: username.trim() }),
  }
  const isChanged = Object.keys(wanted).length > 0
  const save = (event: FormEvent): void => {
    event.preventDefault()
    void run(async () => {
      onChange({ ...me, ...(await accounts().updateProfile(wanted)) })
      setSaved(true)
    })
  }
  return (
    <form className="fields" noValidate onSubmit={save}>
      <DisplayName value={name} onValue={setName} error={errorAt('display_name', failure)} />
      <Username value={username} onValue={setUsername} error={errorAt('username', failure)} isNew />
      <Problem failure={failure} />
      <Submit isBusy={isBusy} isReady={isChanged}>
        {t('action.save')}
      </Submit>
      <p className="hint" role="status">
        {isSaved && !isChanged ? t('action.saved') : ''}
      </p>
    </form>
  )
}

function Picture({ me, onChange }: ProfileProps) {
  const chooser = useRef<HTMLInputElement>(null)
  const { isBusy, failure, run } = useAction()
  const choose = ({ target }: ChangeEvent<HTMLInputElement>): void => {
    const [file] = target.files ?? []
    target.value = '' // the same one can be chosen again
    if (file) void run(async () => onChange({ ...me, ...(await accounts().setAvatar(await squareOf(file))) }))
  }
  const remove = () =>
    run(async () => {
      await accounts().removeAvatar()
      const { avatar: _gone, ...rest } = me
      onChange(rest)
    })
  return (
    <div className="portrait">
      <Avatar id={me.user_id} name={me.display_name} picture={me.avatar} />
      <div className="ways">
        <input ref={chooser} type="file" hidden accept="image/png,image/jpeg,image/webp" onChange={choose} />
        <TextButton isBusy={isBusy} onPress={() => chooser.current?.click()}>
          {t('profile.picture.choose')}
        </TextButton>
        {me.avatar !== undefined && (
          <TextButton isBusy={isBusy} onPress={() => void remove()}>
            {t('action.remove')}
          </TextButton>
        )}
      </div>
      <Problem failure={failure && { ...failure, field: undefined }} />
    </div>
  )
}
