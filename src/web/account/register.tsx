import { useState } from 'react'
import { t } from '../texts/index.ts'
import { accounts } from './accounts.ts'
import { useAction } from './action.ts'
import { Card, errorAt, Problem } from './card.tsx'
import { ChosenPassword, DisplayName, MIN_PASSWORD_LENGTH, Submit, TextButton, Username } from './fields.tsx'
import type { Step } from './steps.ts'

interface RegisterProps {
  readonly code: string | undefined
  readonly isFirst: boolean
  onDone(): void
  onStep(step: Step): void
}

const MIN_USERNAME_LENGTH = 3

/** Makes an account and signs in to it; then come its recovery codes. */
export function Register({ code, isFirst, onDone, onStep }: RegisterProps) {
  const [name, setName] = useState('')
  const [username, setUsername] = useState('')
  const [password, setPassword] = useState('')
  const { isBusy, failure, run } = useAction()
  const submit = () =>
    run(async () => {
      const shown = name.trim() === '' ? {} : { display_name: name.trim() }
      const invite = code === undefined ? {} : { invite: code }
      await accounts().register({ username: username.trim(), password, ...shown, ...invite })
      const codes = await firstCodes()
      if (codes) onStep({ screen: 'codes', codes })
      else onDone()
    })
  const isReady = username.trim().length >= MIN_USERNAME_LENGTH && password.length >= MIN_PASSWORD_LENGTH
  return (
    <Card title={t('auth.register')} hint={introduction(code, isFirst)} onSubmit={() => void submit()}>
      <DisplayName value={name} onValue={setName} error={errorAt('display_name', failure)} autoFocus />
      <Username value={username} onValue={setUsername} error={errorAt('username', failure)} isNew />
      <ChosenPassword
        label={t('auth.password')}
        value={password}
        onValue={setPassword}
        error={errorAt('password', failure)}
      />
      <Problem failure={failure?.field === 'invite' ? { ...failure, field: undefined } : failure} />
      <Submit isBusy={isBusy} isReady={isReady}>
        {t('auth.register.do')}
      </Submit>
      <div className="ways">
        <TextButton onPress={() => onStep({ screen: 'signin' })}>{t('auth.register.have')}</TextButton>
      </div>
    </Card>
  )
}

/** Without them there is still an account, and they can be made later. */
async function firstCodes(): Promise<readonly string[] | undefined> {
  try {
    return await accounts().newRecoveryCodes()
  } catch {
    return undefined
  }
}

function introduction(code: string | undefined, isFirst: boolean): string {
  if (isFirst) return t('auth.register.first', { server: location.host })
  if (code !== undefined) return t('auth.register.invited', { server: location.host })
  return t('auth.server', { server: location.host })
}
