import { useEffect, useRef } from 'react'
import type { Conversation } from '../../client/index.ts'

/** Shorter, and it was only passed by. */
const GLANCE_MS = 300

/** Tells that what is in sight has been read. `seq` is the highest one there. Whether anybody is looking, the client knows. */
export function useReading({ markRead }: Conversation, seq: number | undefined): void {
  const inSight = useRef(seq)
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  inSight.current = seq
  useEffect(() => {
    if (seq === undefined || timer.current !== undefined) return
    // Not put off by what comes meanwhile: while messages pour in, those before them are being read.
    const look = (from: number): void => {
      timer.current = setTimeout(() => {
        timer.current = undefined
        const { current: now = 0 } = inSight
        markRead(Math.min(from, now))
        if (now > from) look(now)
      }, GLANCE_MS)
    }
    look(seq)
  }, [markRead, seq])
  useEffect(() => () => clearTimeout(timer.current), [])
}
