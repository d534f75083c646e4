// Parts of several forms.
import type { ReactNode } from 'react'
import { t } from '../texts/index.ts'
import { AS_TYPED, Field } from './field.tsx'

interface LineProps {
  readonly value: string
  onValue(value: string): void
  readonly error?: string | undefined
  readonly autoFocus?: boolean
}

/** `isNew`: it is being chosen, so the rule for it is shown. */
export function Username({ isNew = false, ...line }: LineProps & { isNew?: boolean }) {
  return (
    <Field
      label={t('auth.username')}
      hint={isNew ? t('auth.register.username.hint') : undefined}
      autoComplete="username"
      maxLength={32}
      required
      {...AS_TYPED}
      {...line}
    />
  )
}

export function DisplayName(line: LineProps) {
  return (
    <Field
      label={t('auth.register.name')}
      hint={t('auth.register.name.hint')}
      autoComplete="name"
      maxLength={64}
      {...line}
    />
  )
}

export function Password({ label = t('auth.password'), ...line }: LineProps & { label?: string }) {
  return <Field label={label} type="password" autoComplete="current-password" maxLength={128} required {...line} />
}

export function ChosenPassword({ label = t('auth.new'), ...line }: LineProps & { label?: string }) {
  return (
    <Field
      label={label}
      hint={t('auth.register.password.hint')}
      type="password"
      autoComplete="new-password"
      maxLength={128}
      required
      {...line}
    />
  )
}

/** What the server asks of a password that is chosen, as far as a page can tell. */
export const MIN_PASSWORD_LENGTH = 8

/** Sends the form, unless it is being sent or not complete. It keeps the focus all the time, so it is never `disabled`. */
export function Submit({ isBusy, isReady, children }: { isBusy: boolean; isReady: boolean; children: ReactNode }) {
  const isOff = isBusy || !isReady
  return (
    <button
      type="submit"
      className="primary"
      aria-disabled={isOff}
      // The Enter key in a field presses it as well.
      onClick={(event) => isOff && event.preventDefault()}
    >
      {isBusy ? t('auth.working') : children}
    </button>
  )
}

interface TextButtonProps {
  readonly children: ReactNode
  readonly isDangerous?: boolean
  readonly isBusy?: boolean
  /** What it does, where its text alone does not say to what. */
  readonly label?: string
  onPress(): void
}

/** A button that looks like text. */
export function TextButton({ children, isDangerous = false, isBusy = false, label, onPress }: TextButtonProps) {
  return (
    <button
      type="button"
      className={isDangerous ? 'link danger' : 'link'}
      aria-label={label}
      aria-disabled={isBusy}
      onClick={onPress}
    >
      {children}
    </button>
  )
}

interface SwitchProps {
  readonly label: string
  readonly isOn: boolean
  readonly isBusy?: boolean
  onChange(isOn: boolean): void
}

export function Switch({ label, isOn, isBusy = false, onChange }: SwitchProps) {
  return (
    <label className="setting">
      <span>{label}</span>
      <input
        type="checkbox"
        role="switch"
        checked={isOn}
        aria-checked={isOn}
        aria-disabled={isBusy}
        onChange={({ target }) => isBusy || onChange(target.checked)}
      />
    </label>
  )
}
