import { hashOf } from './secrets.ts'

/** How many attempts one of something has: `burst` at once, which fill up again over `seconds`. */
export interface ThrottleLimit {
  readonly burst: number
  readonly seconds: number
}

/** What is counted, and how. */
export interface ThrottleKey extends ThrottleLimit {
  /** SHA-256: names of people are kept nowhere else than in their accounts. */
  readonly key: Buffer
}

/** Counts attempts, exactly over all instances. Rejects when the database is away. */
export interface Throttle {
  /** Takes an attempt from each, or from none: 0, or after how many milliseconds there is one of each. */
  take(keys: readonly ThrottleKey[]): Promise<number>
  /** Gives them back: it was no guess. */
  giveBack(keys: readonly ThrottleKey[]): Promise<void>
}

const QUARTER = 15 * 60

/**
 * Guesses: of one name from one network, of one network, of one name, of one device that is known, of one name from all of those, and of
 * somebody who is signed in.
 * Then what is right and still costs a hash: by one name, by one name from devices that are known, by one person who is signed in, and
 * from one network. A network that many share behind a proxy which is not listed has ten times as much, and so has a site, the /48 of
 * an IPv6 network.
 */
export const LIMITS = {
  nameAndNetwork: { burst: 10, seconds: QUARTER },
  network: { burst: 50, seconds: QUARTER },
  name: { burst: 100, seconds: 3_600 },
  device: { burst: 20, seconds: QUARTER },
  devices: { burst: 100, seconds: 3_600 },
  user: { burst: 10, seconds: QUARTER },
  nameRight: { burst: 30, seconds: QUARTER },
  deviceRight: { burst: 30, seconds: QUARTER },
  userRight: { burst: 30, seconds: QUARTER },
  hashes: { burst: 300, seconds: QUARTER },
  site: { burst: 500, seconds: QUARTER },
  siteHashes: { burst: 3_000, seconds: QUARTER },
  sharedNetwork: { burst: 500, seconds: QUARTER },
  sharedHashes: { burst: 3_000, seconds: QUARTER },
} as const satisfies Readonly<Record<string, ThrottleLimit>>

export function throttleKey(kind: keyof typeof LIMITS, ...parts: readonly string[]): ThrottleKey {
  return { ...LIMITS[kind], key: hashOf(JSON.stringify([kind, ...parts])) }
}
