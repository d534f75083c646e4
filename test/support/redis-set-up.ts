// Redis as one of the ways in which people have it, behind one face: what any of them must stand is written once.

/** One server; a cluster of three primaries; a primary and a replica that sentinels watch; one server that is a Valkey. */
export const REDIS_KINDS = ['single', 'cluster', 'sentinels', 'valkey'] as const
export type SetUpKind = (typeof REDIS_KINDS)[number]

/** All of its servers are killed, frozen and started together: what takes the place of a lost one is played elsewhere. */
export interface RedisSetUp {
  /** As the service is told. */
  readonly env: Readonly<Record<string, string>>
  /** Of the only server: a proxy can stand before it. */
  readonly port?: number
  kill(): Promise<void>
  /** One server that is written to, of as many as there are. */
  killPart(): Promise<void>
  /** All that were killed. */
  startAgain(): Promise<void>
  freeze(): void
  thaw(): void
  stop(): Promise<void>
  /**
   * A command about keys goes where presence has its keys, which are named as one server has them; any other goes to every server that
   * takes writes, and the first one's answer counts.
   */
  run(command: string, ...args: (string | number)[]): Promise<unknown>
  /** The answers of every server that takes writes. */
  all(command: string, ...args: (string | number)[]): Promise<unknown[]>
}
