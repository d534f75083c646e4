import type { Message, Positions, UserId } from '../protocol/message.ts'
import type { Entry } from './outbox.ts'
import type { Range } from './ranges.ts'

/** A conversation as it is kept: which of its messages are kept, and where both people stand. */
export interface KeptConversation {
  readonly with: UserId
  /** The server's line of history that it belongs to; '': a server that had not said. */
  readonly epoch: string
  readonly ranges: readonly Range[]
  readonly positions: Positions
  /** Whether the server has said the positions. */
  readonly isPlaced: boolean
  readonly last_seq: number
  readonly last_message: Message | undefined
  readonly unread: number
  /** The highest number that `unread` has counted. */
  readonly counted: number
  /** Up to here messages were told to the application. */
  readonly told?: number | undefined
  /** A position that was read, and may not have reached the server. */
  readonly reading: number
}
export type KeptMessage = Message & { readonly with: UserId }
export interface KeptDraft {
  readonly with: UserId
  readonly text: string
}
/** `v`: the version of the row, so that a later client can still send what an earlier one kept. */
export type KeptEntry = Entry & { readonly v: 1 | 2 }
export interface KeptMeta {
  readonly key: 'since' | 'epoch' | 'maxContentBytes'
  readonly value: string
  /** Of an epoch: when the server was in it, by its own clock, as far as is known. Where it was last is the present one. */
  readonly at?: string | undefined
}

export interface Rows {
  readonly conversations: KeptConversation
  readonly messages: KeptMessage
  readonly outbox: KeptEntry
  readonly drafts: KeptDraft
  readonly meta: KeptMeta
}
export type StoreName = keyof Rows

/** `epoch`: the line of history that it is of, or that an epoch takes the place of. What people typed is of none. */
export type Change = (
  | { readonly [Name in StoreName]: { readonly put: Name; readonly row: Rows[Name] } }[StoreName]
  | { readonly remove: 'conversations' | 'outbox' | 'drafts'; readonly key: string }
) & { readonly epoch?: string }

export interface Kept {
  readonly conversations: readonly KeptConversation[]
  readonly outbox: readonly KeptEntry[]
  readonly drafts: readonly KeptDraft[]
  readonly meta: readonly KeptMeta[]
}

/**
 * Whether a change may be kept, asked of each in its order: one of a line of history that was left comes too late, as from a tab
 * that was frozen. `known`: the row of the present epoch; to be read in the transaction that makes the changes.
 */
export function inLine(known: KeptMeta | undefined): (change: Change) => boolean {
  let present = known
  return (change) => {
    const { row } = change as { readonly row?: Partial<KeptMeta> }
    const epoch = row?.key === 'epoch' ? (row as KeptMeta) : undefined
    const is = !present || (change.epoch ?? present.value) === present.value || (epoch?.at ?? '') > (present.at ?? '')
    if (is) present = epoch ?? present
    return is
  }
}

/**
 * A conversation as it is to be kept in the place of `known`: what another tab has kept as read, and may not have said, stays until
 * the server is known to have it. Of another line of history it means something else.
 */
export const withRead = (row: KeptConversation, known?: KeptConversation): KeptConversation =>
  known?.epoch === row.epoch && known.reading > row.positions.read_seq ? { ...row, reading: known.reading } : row

/**
 * Where one user's messages are kept. A write is one transaction: it resolves when all of it is kept that is `inLine`, and rejects
 * when none is. Several clients may use one storage at a time. In one that outlives them a conversation is put `withRead`.
 */
export interface Storage {
  load(): Promise<Kept>
  /** Messages of a conversation from `first` to `last`, ascending; what is not kept is missing. */
  messages(other: UserId, first: number, last: number): Promise<readonly Message[]>
  /** `isStrict`: resolves only when it would survive the loss of power. */
  write(changes: readonly Change[], isStrict: boolean): Promise<void>
  /** Makes room: drops all but the newest messages. Never what waits to be sent. */
  trim(): Promise<void>
  /** Removes everything, for good. */
  destroy(): Promise<void>
  close(): void
}

export interface StorageDriver {
  readonly kind: 'persistent' | 'memory'
  /** `lost`: the storage has gone, or another version of the program needs it; it must be opened again. */
  open(name: string, lost: (why: string) => void): Promise<Storage>
  /** Removes what is kept under this name, also what could not be opened. Without it `destroy` of the storage does. */
  remove?(name: string): Promise<void>
}
