import { useState } from 'react'
import { server } from '../parts/server.ts'
import { t } from '../texts/index.ts'
import { accounts } from './accounts.ts'
import { useAction } from './action.ts'
import { Card, errorAt, Problem } from './card.tsx'
import { Password, Submit, TextButton, Username } from './fields.tsx'
import type { Step } from './steps.ts'

interface SignInProps {
  /** What was done before, as "your password is changed". */
  readonly note?: string | undefined
  onDone(): void
  onStep(step: Step): void
}

export function SignIn({ note, onDone, onStep }: SignInProps) {
  const [username, setUsername] = useState('')
  const [password, setPassword] = useState('')
  const { isBusy, failure, run } = useAction()
  const submit = () =>
    run(async () => {
      await accounts().login({ username: username.trim(), password })
      onDone()
    })
  return (
    <Card title={t('auth.signin')} hint={t('auth.server', { server: location.host })} onSubmit={() => void submit()}>
      {note !== undefined && (
        <p className="note" role="status">
          {note}
        </p>
      )}
      <Username value={username} onValue={setUsername} error={errorAt('username', failure)} autoFocus />
      <Password value={password} onValue={setPassword} error={errorAt('password', failure)} />
      <Problem failure={failure} />
      <Submit isBusy={isBusy} isReady={username.trim() !== '' && password !== ''}>
        {t('auth.signin')}
      </Submit>
      <div className="ways">
        <TextButton onPress={() => onStep({ screen: 'recover' })}>{t('auth.signin.forgot')}</TextButton>
        {server.get()?.registration === 'open' && (
          <TextButton onPress={() => onStep({ screen: 'register' })}>{t('auth.signin.register')}</TextButton>
        )}
      </div>
      {server.get()?.registration === 'invite' && <p className="hint">{t('auth.signin.closed')}</p>}
    </Card>
  )
}
