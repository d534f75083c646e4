import { type InputHTMLAttributes, useEffect, useId, useRef, useState } from 'react'
import { t } from '../texts/index.ts'

interface FieldProps extends Omit<InputHTMLAttributes<HTMLInputElement>, 'onChange' | 'value'> {
  readonly label: string
  readonly value: string
  onValue(value: string): void
  readonly hint?: string | undefined
  readonly error?: string | undefined
}

/** A labelled line of text with what is to know about it. What is wrong with it takes the focus and is read out. */
export function Field({ label, value, onValue, hint, error, type = 'text', ...rest }: FieldProps) {
  const id = useId()
  const input = useRef<HTMLInputElement>(null)
  const [isShown, setShown] = useState(false)
  useEffect(() => {
    if (error !== undefined) input.current?.focus()
  }, [error])
  const isPassword = type === 'password'
  const note = error ?? hint
  return (
    <div className="field">
      <label id={`${id}-label`} htmlFor={id}>
        {label}
      </label>
      <div className="line">
        <input
          {...rest}
          ref={input}
          id={id}
          type={isPassword && isShown ? 'text' : type}
          dir={isPassword ? 'ltr' : 'auto'}
          value={value}
          aria-invalid={error !== undefined}
          aria-describedby={note === undefined ? undefined : `${id}-note`}
          onChange={({ target }) => onValue(target.value)}
        />
        {isPassword && (
          <button
            type="button"
            className="reveal"
            aria-pressed={isShown}
            aria-describedby={`${id}-label`}
            onClick={() => setShown(!isShown)}
          >
            {t(isShown ? 'action.hide' : 'action.show')}
          </button>
        )}
      </div>
      {note !== undefined && (
        <p
          id={`${id}-note`}
          className={error === undefined ? 'hint' : 'wrong'}
          role={error === undefined ? undefined : 'alert'}
        >
          {note}
        </p>
      )}
    </div>
  )
}

/** How a username is typed: as it is, without the help of the keyboard. */
export const AS_TYPED = { autoCapitalize: 'none', autoCorrect: 'off', spellCheck: false } as const
