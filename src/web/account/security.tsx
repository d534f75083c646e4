import { useState } from 'react'
import type { Profile } from '../../client/accounts.ts'
import { t } from '../texts/index.ts'
import { accounts } from './accounts.ts'
import { useAction } from './action.ts'
import { asksAgain, useConfirmed } from './again.tsx'
import { errorAt, Problem } from './card.tsx'
import { CodeList } from './codes.tsx'
import { Dialog } from './dialog.tsx'
import { Field } from './field.tsx'
import { MIN_PASSWORD_LENGTH, Submit } from './fields.tsx'
import { Panel, Section } from './panel.tsx'

/** The password, the codes in place of it, and the end of the account. */
export function Security({ me, onLeave }: { me: Profile; onLeave(): void }) {
  return (
    <Panel title={t('password.title')} back="/settings">
      <ChangePassword username={me.username ?? ''} />
      <RecoveryCodes username={me.username ?? ''} />
      <DeleteAccount username={me.username ?? ''} onLeave={onLeave} />
    </Panel>
  )
}

function ChangePassword({ username }: { username: string }) {
  const [form, setForm] = useState({ current: '', new: '' })
  const [isDone, setDone] = useState(false)
  const { isBusy, failure, run } = useAction({ invalid_credentials: 'error.current_password' })
  const submit = () =>
    run(async () => {
      await accounts().changePassword(form)
      setForm({ current: '', new: '' })
      setDone(true)
    })
  return (
    <Section>
      <form
        className="fields"
        noValidate
        onSubmit={(event) => {
          event.preventDefault()
          void submit()
        }}
      >
        <input type="hidden" autoComplete="username" value={username} readOnly />
        <Field
          label={t('password.current')}
          type="password"
          value={form.current}
          onValue={(current) => setForm({ ...form, current })}
          error={errorAt('current', failure)}
          autoComplete="current-password"
          maxLength={128}
        />
        <Field
          label={t('auth.new')}
          hint={t('auth.register.password.hint')}
          type="password"
          value={form.new}
          onValue={(value) => setForm({ ...form, new: value })}
          error={errorAt('password', failure) ?? errorAt('new', failure)}
          autoComplete="new-password"
          maxLength={128}
        />
        <Problem failure={failure} />
        <div role="status">{isDone && <p className="hint">{t('password.done')}</p>}</div>
        <Submit isBusy={isBusy} isReady={form.current !== '' && form.new.length >= MIN_PASSWORD_LENGTH}>
          {t('auth.reset.do')}
        </Submit>
      </form>
    </Section>
  )
}

function RecoveryCodes({ username }: { username: string }) {
  const [codes, setCodes] = useState<readonly string[]>()
  const action = useAction()
  const { isBusy, failure } = action
  const confirmed = useConfirmed(username, action)
  const make = () => confirmed.run(async () => setCodes(await accounts().newRecoveryCodes()))
  return (
    <Section title={t('auth.codes')}>
      <p className="hint">{t('codes.new.hint')}</p>
      <Problem failure={failure} />
      <button type="button" className="link" aria-disabled={isBusy} onClick={() => void make()}>
        {t('codes.new')}
      </button>
      {confirmed.dialog}
      {codes && (
        <Dialog title={t('auth.codes')} onClose={() => setCodes(undefined)}>
          <p>{t('auth.codes.hint')}</p>
          <CodeList codes={codes} />
        </Dialog>
      )}
    </Section>
  )
}

function DeleteAccount({ username, onLeave }: { username: string; onLeave(): void }) {
  const [isAsking, setAsking] = useState(false)
  const [password, setPassword] = useState('')
  const { isBusy, failure, run } = useAction({
    ...{ invalid_credentials: 'error.current_password', forbidden: 'error.last_admin' },
  })
  const remove = () =>
    run(async () => {
      try {
        await accounts().deleteAccount({ password })
      } catch (error) {
        if (!asksAgain(error)) throw error
        await accounts().login({ username, password })
        await accounts().deleteAccount({ password })
      }
      onLeave()
    })
  return (
    <Section title={t('leave.title')}>
      <p className="hint">{t('leave.hint')}</p>
      <button type="button" className="link danger" onClick={() => setAsking(true)}>
        {t('leave.do')}
      </button>
      {isAsking && (
        <Dialog
          title={t('leave.title')}
          action={t('leave.do')}
          isDangerous
          isBusy={isBusy || password === ''}
          onAction={() => void remove()}
          onClose={() => setAsking(false)}
        >
          <p>{t('leave.hint')}</p>
          <Field
            label={t('auth.password')}
            type="password"
            value={password}
            onValue={setPassword}
            autoComplete="current-password"
            autoFocus
          />
          <Problem failure={failure} />
        </Dialog>
      )}
    </Section>
  )
}
