/** What the database says of the line of history that its numbers belong to. */
export interface EpochRecord {
  readonly epoch: string
  /** When the epoch was renewed last, in microseconds of the database's clock; grows with every renewal. */
  readonly renewedAt: number
  /** Why the present database may be another one than that in which the epoch was made, in words; undefined if it is the same. */
  readonly movedBecause: string | undefined
  /** Names the session that read it: what another one reads may be what another server has, or the same with other data. */
  readonly session: string
}

/** Keeps the epoch, once for all instances. Both methods reject when the database is away. */
export interface EpochStore {
  read(): Promise<EpochRecord>
  /** Makes a new epoch, unless somebody did since `seen` was read, and resolves with the one that holds then. */
  renew(seen: EpochRecord, because: string): Promise<EpochRecord>
}
