import { useState } from 'react'
import { type Failure, failureOf, type Meanings } from './errors.ts'

/** One thing that a person does here and that may fail. */
export interface Action {
  /** For `aria-disabled`: a button that is disabled for a moment loses the focus. */
  readonly isBusy: boolean
  readonly failure: Failure | undefined
  /** Does it, unless it is being done. Resolves whatever comes of it. */
  run(task: () => Promise<void>): Promise<void>
}

export function useAction(meanings?: Meanings): Action {
  const [isBusy, setBusy] = useState(false)
  const [failure, setFailure] = useState<Failure>()
  const run = async (task: () => Promise<void>): Promise<void> => {
    if (isBusy) return
    setBusy(true)
    setFailure(undefined)
    try {
      await task()
    } catch (error) {
      setFailure(failureOf(error, meanings))
    } finally {
      setBusy(false)
    }
  }
  return { isBusy, failure, run }
}
