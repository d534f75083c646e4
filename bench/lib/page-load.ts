/** What the coordinator and the process that opens the page say to each other. */
import type { PackedHistogram } from './histogram.ts'

/** `start` opens the page again and again until `finish`; what is answered between `begin` and `end` is timed. */
export type PageCommand =
  | { readonly type: 'start'; readonly plan: PagePlan }
  | { readonly type: 'begin' }
  | { readonly type: 'end' }
  | { readonly type: 'finish' }

export interface PagePlan {
  readonly host: string
  readonly port: number
  /** People who open the page in a second, each with nothing in the cache of their browser. */
  readonly visitsPerSecond: number
}

/** Of the whole run; what is timed of the window alone. */
export interface PageResult {
  readonly visits: number
  readonly bytes: number
  /** From when a file was asked for to its last byte. */
  readonly answer: PackedHistogram
}
