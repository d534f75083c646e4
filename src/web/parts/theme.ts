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
}
