import type { KeyboardEvent } from 'react'
import { Icon } from '../parts/icons.tsx'
import { t } from '../texts/index.ts'

/** Down goes to what was found, Enter opens the first of it, Escape ends the search. */
export function SearchField({ text, onText }: { text: string; onText: (text: string) => void }) {
  const steer = (event: KeyboardEvent<HTMLInputElement>): void => {
    if (event.nativeEvent.isComposing || event.keyCode === 229) return
    const first = event.currentTarget.closest('nav')?.querySelector<HTMLElement>('[data-item]')
    if (event.key === 'Escape') onText('')
    else if (event.key === 'ArrowDown') first?.focus()
    else if (event.key === 'Enter' && text.trim() !== '') first?.click()
    else return
    event.preventDefault()
  }
  return (
    <search className="search">
      <Icon name="search" size={18} />
      <input
        type="search"
        dir="auto"
        autoCapitalize="none"
        autoComplete="off"
        spellCheck={false}
        maxLength={128}
        placeholder={t('list.search')}
        aria-label={t('list.search')}
        value={text}
        onChange={({ target }) => onText(target.value)}
        onKeyDown={steer}
      />
      {text !== '' && (
        <button type="button" className="clear" aria-label={t('action.close')} onClick={() => onText('')}>
          <Icon name="close" size={16} />
        </button>
      )}
    </search>
  )
}
