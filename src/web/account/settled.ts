import { useEffect, useState } from 'react'

/** Long enough that not every key is a request. */
const PAUSE_MS = 200

/** What was typed, once a person has stopped typing. */
export function useSettled(text: string): string {
  const [settled, setSettled] = useState(text)
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), PAUSE_MS)
    return () => clearTimeout(timer)
  }, [text])
  return settled
}
