import { useCallback, useEffect, useRef, useState } from 'react'
import { type Failure, failureOf } from './errors.ts'

/** Something that the server is asked for: what it said, or why it did not. `reload` asks again. */
export interface Loaded<T> {
  readonly value: T | undefined
  readonly failure: Failure | undefined
  reload(): Promise<void>
}

interface State<T> {
  /** What was asked. */
  readonly ask: () => Promise<T>
  readonly value?: T
  readonly failure?: Failure
}

/** `ask` must be the same function until it asks for something else. Of several answers the one to the last question counts. */
export function useLoaded<T>(ask: () => Promise<T>): Loaded<T> {
  const [state, setState] = useState<State<T>>({ ask })
  const questions = useRef(0)
  const reload = useCallback(async (): Promise<void> => {
    questions.current += 1
    const question = questions.current
    const set = (next: (before: State<T>) => State<T>): void => {
      if (question === questions.current) setState(next)
    }
    try {
      const value = await ask()
      set(() => ({ ask, value }))
    } catch (error) {
      const failure = failureOf(error)
      set((before) => (before.ask === ask ? { ...before, failure } : { ask, failure }))
    }
  }, [ask])
  useEffect(() => void reload(), [reload])
  const { value, failure }: Partial<State<T>> = state.ask === ask ? state : {}
  return { value, failure, reload }
}
