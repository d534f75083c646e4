// What is played where, and what is left out.
import { inject } from 'vitest'
import { onPath } from './installed-program.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Whether plays whose program is missing fail instead of being skipped; undefined within `npm test`. */
    playsAll: boolean | undefined
  }
}

/** Whether a play that needs one of these programs is left out: not where all are to be played, there it fails without it. */
export function isLeftOut(programs: readonly string[]): boolean {
  return onPath(programs) === undefined && !inject('playsAll')
}
