import { useEffect, useRef } from 'react'

/** A file that is dropped on the page is refused, with a word: browsers would show it in place of the page. */
export function useRefusedFiles(refused?: () => void): void {
  const say = useRef(refused)
  say.current = refused
  useEffect(() => {
    const ended = new AbortController()
    const refuse = (event: DragEvent): void => {
      if (!event.dataTransfer?.types.includes('Files')) return
      event.preventDefault()
      if (event.type === 'drop') say.current?.()
    }
    for (const name of ['dragover', 'drop'] as const) addEventListener(name, refuse, { signal: ended.signal })
    return () => ended.abort()
  }, [])
}
