import { useEffect, useState } from 'react'
import type { Conversation } from '../../client/index.ts'
import { useStore } from '../../client/react.ts'

/** So far from the first row that older ones are there before anybody sees the edge. */
const AHEAD_ROWS = 15
const AGAIN_MS = 2000

/** Fetches older messages as the first ones come near. True while they are being fetched. */
export function useOlder({ hasOlder, loadOlder }: Conversation, first: number | undefined): boolean {
  const isWanted = useStore(hasOlder) && first !== undefined && first < AHEAD_ROWS
  const [isLoading, setLoading] = useState(false)
  const [attempt, setAttempt] = useState(0)
  // biome-ignore lint/correctness/useExhaustiveDependencies: another attempt is another run
  useEffect(() => {
    if (!isWanted) return
    const stop = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    setLoading(true)
    void loadOlder({ signal: stop.signal }).then((hasCome) => {
      if (stop.signal.aborted) return
      setLoading(false)
      timer = setTimeout(() => setAttempt((count) => count + 1), hasCome ? 0 : AGAIN_MS)
    })
    return () => {
      stop.abort()
      clearTimeout(timer)
    }
  }, [isWanted, attempt, loadOlder])
  return isWanted && isLoading
}
