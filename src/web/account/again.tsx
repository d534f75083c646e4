import { type ReactNode, useState } from 'react'
import { ChatError } from '../../client/accounts.ts'
import { t } from '../texts/index.ts'
import { accounts } from './accounts.ts'
import { type Action, useAction } from './action.ts'
import { Problem } from './card.tsx'
import { Dialog } from './dialog.tsx'
import { Field } from './field.tsx'

/** `dialog` is what is to be shown. */
interface Confirmed {
  readonly dialog: ReactNode
  /** Does it, and where that needs the password once more, asks for it and then does it. */
  run(task: () => Promise<void>): Promise<void>
}

/** For an action that may need a login of a moment ago. */
export function useConfirmed(username: string, { run }: Pick<Action, 'run'>): Confirmed {
  const [waiting, setWaiting] = useState<() => Promise<void>>()
  const attempt = (task: () => Promise<void>): Promise<void> =>
    run(() =>
      task().catch((error: unknown) => {
        if (!asksAgain(error)) throw error
        setWaiting(() => task)
      }),
    )
  const goOn = (): void => {
    setWaiting(undefined)
    if (waiting) void attempt(waiting)
  }
  const dialog = waiting && <Again username={username} onClose={() => setWaiting(undefined)} onDone={goOn} />
  return { dialog, run: attempt }
}

/** Whether the server wants to know once more who it is, before it does this. */
export function asksAgain(error: unknown): boolean {
  return error instanceof ChatError && error.code === 'reauthentication_required'
}

interface AgainProps {
  readonly username: string
  /** The password was right: what was asked for can be done now. */
  onDone(): void
  onClose(): void
}

/** Asks for the password, for what needs a login of a moment ago. */
function Again({ username, onDone, onClose }: AgainProps) {
  const [password, setPassword] = useState('')
  const { isBusy, failure, run } = useAction({ invalid_credentials: 'error.current_password' })
  const confirm = () =>
    run(async () => {
      await accounts().login({ username, password })
      onDone()
    })
  return (
    <Dialog
      title={t('again.title')}
      action={t('again.do')}
      isBusy={isBusy || password === ''}
      onAction={() => void confirm()}
      onClose={onClose}
    >
      <p>{t('again.hint')}</p>
      <input type="hidden" autoComplete="username" value={username} readOnly />
      <Field
        label={t('auth.password')}
        type="password"
        value={password}
        onValue={setPassword}
        autoComplete="current-password"
        maxLength={128}
        autoFocus
      />
      <Problem failure={failure} />
    </Dialog>
  )
}
