import type { Heads } from './history.ts'

/** What a process of clients is to do. */
export interface ClientPlan {
  readonly file: string
  readonly seed: number
  readonly users: readonly string[]
  /** The first two are written to most. */
  readonly everybody: readonly string[]
  readonly ports: readonly number[]
  readonly sendsPerSecond: number
  /** Clients that use the SDK, in place of the devices that are written out here. */
  readonly isSdk?: boolean
}

/**
 * `quiet`: write nothing new and repeat what has no outcome · `live`: note where every device stands · `resume`: lose every
 * connection · `final`: note it again and acknowledge everything · `exit`.
 */
export type Order = 'quiet' | 'live' | 'resume' | 'final' | 'exit'

export interface Told {
  readonly waiting: number
  readonly isSynced: boolean
  /** Which devices are not, and what each lacks. */
  readonly behind?: readonly string[]
  readonly heads: readonly { readonly user: string; readonly heads: Heads }[]
  /** Close code and count, device by device. */
  readonly closes: readonly (readonly [number, number])[]
  /** The order that was just carried out. */
  readonly done?: Order
}

export const devicesOf = (user: string): readonly string[] => [`${user}/0`, `${user}/1`]
