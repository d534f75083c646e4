import { useEffect } from 'react'
import { useClient } from '../../client/react.ts'
import { useCalmly } from '../parts/calm.ts'
import { t } from '../texts/index.ts'

/** What stands outside of the page is drawn by other programs, which takes time that the page waits for. */
const PAUSE_MS = 1000

/** Says how much is unread where the page is not looked at: in its title, its icon, and on the app's badge. */
export function useTitle(name: string): void {
  const count = useCalmly(useClient().conversations, PAUSE_MS).reduce((sum, { unread }) => sum + unread, 0)
  useEffect(() => {
    document.title = count === 0 ? name : t('app.title', { count, name })
  }, [count, name])
  useEffect(() => mark(count), [count])
  // Whoever comes to the door next is told nothing about whoever has left.
  useEffect(
    () => () => {
      document.title = t('app.name')
      mark(0)
    },
    [],
  )
}

function mark(count: number): void {
  document.querySelector('link[rel=icon]')?.setAttribute('href', count === 0 ? '/icon.svg' : '/icon-unread.svg')
  // Only pages that came over https have a badge, and only once they are installed.
  void navigator.setAppBadge?.(count).catch(() => undefined)
}
