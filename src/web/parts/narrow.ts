import { useSyncExternalStore } from 'react'

/** As in `main.css`: below it there is one pane at a time. */
const narrow = matchMedia('(max-width: 720px)')

function subscribe(changed: () => void): () => void {
  narrow.addEventListener('change', changed)
  return () => narrow.removeEventListener('change', changed)
}

/** Whether the list and what is open take turns. */
export function useNarrow(): boolean {
  return useSyncExternalStore(subscribe, () => narrow.matches)
}
