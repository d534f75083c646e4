import { useMemo } from 'react'
import type { Store } from '../../client/index.ts'
import { useStore } from '../../client/react.ts'

/** Shorter than anybody notices, and long enough that keys are answered between two renderings. */
const PAUSE_MS = 80
/** On a slow machine the pause is longer than the rendering before it: at most a third of the time goes into what comes in. */
const PAUSE_PER_RENDERING = 2
/** A page that was hidden has not been rendering all that time. */
const MAX_PAUSE_MS = 500

/** The value of a store, at once after a pause; of what changes many times in a moment only the last is rendered. */
export function useCalmly<T>(store: Store<T>, pauseMs = PAUSE_MS): T {
  return useStore(useMemo(() => calmed(store, pauseMs), [store, pauseMs]))
}

/** For one reader. */
export function calmed<T>(store: Store<T>, pauseMs: number): Store<T> {
  let shown = store.get()
  let nextAt = Number.NEGATIVE_INFINITY
  return {
    get: () => shown,
    subscribe(changed) {
      let timer: ReturnType<typeof setTimeout> | undefined
      const show = (): void => {
        const began = performance.now()
        nextAt = began + pauseMs
        shown = store.get()
        changed()
        requestAnimationFrame(() =>
          setTimeout(() => {
            const now = performance.now()
            nextAt = Math.max(nextAt, now + Math.min(PAUSE_PER_RENDERING * (now - began), MAX_PAUSE_MS))
          }),
        )
      }
      const look = (): void => {
        timer = undefined
        const waitMs = nextAt - performance.now()
        if (waitMs <= 0) show()
        else timer = setTimeout(look, waitMs)
      }
      const end = store.subscribe(() => {
        if (timer === undefined) look()
      })
      shown = store.get()
      return () => {
        end()
        clearTimeout(timer)
      }
    },
  }
}
