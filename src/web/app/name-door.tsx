import { type FormEvent, useState } from 'react'
import { USER_ID_PATTERN } from '../../protocol/limits.ts'
import { t } from '../texts/index.ts'
import { enter, lastName } from './session.ts'

/** Asks who this tab is, where nobody has to prove it. */
export function NameDoor() {
  const [name, setName] = useState(lastName() ?? '')
  const [isWrong, setWrong] = useState(false)
  const start = (event: FormEvent): void => {
    event.preventDefault()
    if (USER_ID_PATTERN.test(name.trim())) enter({ userId: name.trim() })
    else setWrong(true)
  }
  return (
    <main className="door">
      <form className="card" onSubmit={start} noValidate>
        <div>
          <h1>{t('door.title')}</h1>
          <p>{t('door.hint')}</p>
        </div>
        <label>
          {t('door.name')}
          <input
            // The one thing to do here; whoever comes to this page wants to type.
            // biome-ignore lint/a11y/noAutofocus: see above
            autoFocus
            autoComplete="username"
            autoCapitalize="none"
            spellCheck={false}
            maxLength={128}
            value={name}
            aria-invalid={isWrong}
            aria-describedby={isWrong ? 'name-rule' : undefined}
            onFocus={({ target }) => target.select()}
            onChange={({ target }) => setName(target.value)}
          />
        </label>
        {isWrong && (
          <p id="name-rule" role="alert" className="wrong">
            {t('door.rule')}
          </p>
        )}
        <button type="submit" className="primary">
          {t('door.start')}
        </button>
        <p className="note">{t('door.open')}</p>
      </form>
    </main>
  )
}
