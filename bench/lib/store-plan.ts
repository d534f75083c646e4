/** What the coordinator and a storing process say to each other. */

export type StoreMethod = 'writer' | 'copy' | 'unnest' | 'insert'

/** Stores `rows` messages with `inFlight` of them unanswered at a time. */
export interface StorePlan {
  readonly method: StoreMethod
  readonly rows: number
  readonly inFlight: number
  /** Each message in another one than the one before, in turn. */
  readonly conversations: number
}

export interface StoreResult {
  readonly rowsPerSecond: number
  /** CPU of the storing process. */
  readonly cpuUsPerRow: number
  /** Rows in a batch on average. */
  readonly batchRows: number
}

export type StoreEvent =
  | { readonly type: 'ready' }
  | { readonly type: 'stored'; readonly result: StoreResult }
  | { readonly type: 'failed'; readonly reason: string }
