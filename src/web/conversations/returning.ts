import { useEffect, useRef } from 'react'
import { useRoute } from '../parts/route.ts'

/**
 * Calls when what was open has been closed, and the focus with it: one goes on where one had opened it. `open`: what is open, as
 * far as this place leads to it.
 */
export function useReturn(open: string | undefined, go: (left: string) => void): void {
  const isList = useRoute().screen === 'list'
  const before = useRef(open)
  useEffect(() => {
    const left = before.current
    before.current = open
    if (open === undefined && left !== undefined && isList && document.activeElement === document.body) go(left)
  })
}
