import { useState } from 'react'
import { t } from '../texts/index.ts'
import { accounts } from './accounts.ts'
import { useAction } from './action.ts'
import { Card, errorAt, Problem } from './card.tsx'
import { AS_TYPED, Field } from './field.tsx'
import { ChosenPassword, MIN_PASSWORD_LENGTH, Submit, TextButton, Username } from './fields.tsx'
import type { Step } from './steps.ts'

type OnStep = (step: Step) => void

const backToSignIn = (onStep: OnStep) => (
  <div className="ways">
    <TextButton onPress={() => onStep({ screen: 'signin' })}>{t('auth.back')}</TextButton>
  </div>
)

/** Chooses a password by one of the recovery codes. Nobody is signed in by it. */
export function Recover({ onStep }: { onStep: OnStep }) {
  const [username, setUsername] = useState('')
  const [code, setCode] = useState('')
  const [password, setPassword] = useState('')
  const { isBusy, failure, run } = useAction({
    ...{ invalid_credentials: 'error.recovery', unauthorized: 'error.recovery' },
  })
  const submit = () =>
    run(async () => {
      await accounts().recover({ username: username.trim(), recovery_code: code.trim(), new: password })
      onStep({ screen: 'signin', note: t('auth.reset.done') })
    })
  const isReady = username.trim() !== '' && code.trim() !== '' && password.length >= MIN_PASSWORD_LENGTH
  return (
    <Card title={t('auth.recover')} hint={t('auth.recover.hint')} onSubmit={() => void submit()}>
      <Username value={username} onValue={setUsername} autoFocus />
      <Field
        label={t('auth.recover.code')}
        value={code}
        onValue={setCode}
        autoComplete="one-time-code"
        maxLength={64}
        required
        {...AS_TYPED}
      />
      <ChosenPassword
        value={password}
        onValue={setPassword}
        error={errorAt('password', failure) ?? errorAt('new', failure)}
      />
      <Problem failure={failure} />
      <Submit isBusy={isBusy} isReady={isReady}>
        {t('auth.reset.do')}
      </Submit>
      {backToSignIn(onStep)}
    </Card>
  )
}

/** Chooses a password by the link of an admin. Nobody is signed in by it. */
export function Reset({ code, onStep }: { code: string; onStep: OnStep }) {
  const [password, setPassword] = useState('')
  const { isBusy, failure, run } = useAction({
    ...{ invalid_credentials: 'error.link_invalid', unauthorized: 'error.link_invalid' },
    ...{ invite_invalid: 'error.link_invalid', 'invalid_request link_token': 'error.link_invalid' },
  })
  const submit = () =>
    run(async () => {
      await accounts().reset({ link_token: code, new: password })
      onStep({ screen: 'signin', note: t('auth.reset.done') })
    })
  return (
    <Card title={t('auth.reset')} hint={t('auth.reset.hint')} onSubmit={() => void submit()}>
      <ChosenPassword
        value={password}
        onValue={setPassword}
        error={errorAt('password', failure) ?? errorAt('new', failure)}
        autoFocus
      />
      <Problem failure={failure?.field === 'link_token' ? { ...failure, field: undefined } : failure} />
      <Submit isBusy={isBusy} isReady={password.length >= MIN_PASSWORD_LENGTH}>
        {t('auth.reset.do')}
      </Submit>
      {backToSignIn(onStep)}
    </Card>
  )
}
