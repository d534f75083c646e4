import { useState } from 'react'
import { chooseLanguage, chosenLanguage } from '../parts/language.ts'
import { chooseTheme, chosenTheme, type Theme } from '../parts/theme.ts'
import { LANGUAGES, t } from '../texts/index.ts'
import { Section } from './panel.tsx'

const THEMES = [undefined, 'light', 'dark'] as const

/** How the page looks on this device, and what it speaks. */
export function Appearance() {
  const [theme, setTheme] = useState<Theme | undefined>(chosenTheme)
  const choose = (chosen: Theme | undefined): void => {
    chooseTheme(chosen)
    setTheme(chosen)
  }
  return (
    <>
      <Section title={t('settings.theme')}>
        <fieldset className="segments">
          <legend className="sr">{t('settings.theme')}</legend>
          {THEMES.map((one) => (
            <label key={one ?? 'system'}>
              <input type="radio" name="theme" checked={theme === one} onChange={() => choose(one)} />
              <span>{t(`settings.theme.${one ?? 'system'}`)}</span>
            </label>
          ))}
        </fieldset>
      </Section>
      <Section title={t('settings.language')}>
        <select
          className="wide"
          aria-label={t('settings.language')}
          value={chosenLanguage() ?? ''}
          onChange={({ target }) => void chooseLanguage(target.value === '' ? undefined : target.value)}
        >
          <option value="">{t('settings.language.system')}</option>
          {LANGUAGES.map(([code, name]) => (
            <option key={code} value={code} lang={code}>
              {name}
            </option>
          ))}
        </select>
      </Section>
    </>
  )
}
