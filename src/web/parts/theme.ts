import { keep, kept } from './kept.ts'

/** What `public/theme.js` reads before the first paint. */
const CHOICE = 'theme'

export type Theme = 'light' | 'dark'

/** What was chosen on this device; undefined: as the system. */
export function chosenTheme(): Theme | undefined {
  const choice = kept(CHOICE)
  return choice === 'light' || choice === 'dark' ? choice : undefined
}

export function chooseTheme(theme: Theme | undefined): void {
  keep(CHOICE, theme)
  document.documentElement.style.colorScheme = theme ?? ''
  // What the browser draws around the page has a colour for each, as `theme.js` chooses it.
  for (const meta of document.querySelectorAll<HTMLElement>('meta[data-theme]')) {
    const own = meta.dataset['theme']
    const media = theme === undefined ? `(prefers-color-scheme: ${own})` : own === theme ? 'all' : 'not all'
    meta.setAttribute('media', media)
  }
}
