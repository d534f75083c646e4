import type { Asker } from './asker.ts'
import { AccountRefusal } from './refusal.ts'
import { type Throttle, type ThrottleKey, throttleKey } from './throttle.ts'

/** What an attempt counts against. All of it is taken before a password is hashed. */
export interface Attempt {
  /** Given back when it was right: it was no guess. */
  readonly guesses: readonly ThrottleKey[]
  /**
   * Given back when it was wrong, so that no stranger uses up what is somebody else's. Whoever knows a password could otherwise keep
   * the queue of hashes full, and everybody out, with attempts that are all right.
   */
  readonly rights: readonly ThrottleKey[]
  /** Never given back. */
  readonly hashes: readonly ThrottleKey[]
}

type Network = Pick<Asker, 'address' | 'isNetworkShared'>

/** A stranger's at this name. */
export function strangerAttempt(nameKey: string, network: Network): Attempt {
  const guesses = [throttleKey('nameAndNetwork', nameKey, network.address), throttleKey('name', nameKey)]
  return {
    guesses: [...guesses, ...ofNetwork(network)],
    rights: [throttleKey('nameRight', nameKey)],
    hashes: hashesOf(network),
  }
}

/**
 * From a device that this person signed in from before: counted by itself, so that no stranger can shut them out, and with all others of
 * theirs, so that whoever has many guesses no faster. One alone never uses up what all of them have.
 */
export function deviceAttempt(nameKey: string, deviceToken: string): Attempt {
  const guesses = [throttleKey('device', nameKey, deviceToken), throttleKey('devices', nameKey)]
  return { guesses, rights: [throttleKey('deviceRight', nameKey)], hashes: [] }
}

/** Of somebody who is signed in. */
export function ownAttempt(userId: string): Attempt {
  return { guesses: [throttleKey('user', userId)], rights: [throttleKey('userRight', userId)], hashes: [] }
}

/** With a code or a link, or with nothing where everybody may register. */
export function codeAttempt(network: Network): Attempt {
  return { guesses: ofNetwork(network), rights: [], hashes: hashesOf(network) }
}

/** Never nothing: a stranger could write the header that makes an address look shared. */
function ofNetwork({ address, isNetworkShared }: Network): ThrottleKey[] {
  if (isNetworkShared) return [throttleKey('sharedNetwork', address)]
  return [throttleKey('network', address), ...siteOf(address).map((site) => throttleKey('site', site))]
}

function hashesOf({ address, isNetworkShared }: Network): ThrottleKey[] {
  if (isNetworkShared) return [throttleKey('sharedHashes', address)]
  return [throttleKey('hashes', address), ...siteOf(address).map((site) => throttleKey('siteHashes', site))]
}

/** Of the /64 of an IPv6 address the /48: one customer of a provider may have it, and with it 65,536 networks. */
function siteOf(address: string): string[] {
  const [, groups] = /^((?:[\da-f]+:){3})[\da-f]+::\/64$/.exec(address) ?? []
  return groups === undefined ? [] : [groups]
}

/** Throws when there have been too many. */
export async function takeAttempt(throttle: Throttle, { guesses, rights, hashes }: Attempt): Promise<void> {
  const retryAfterMs = await throttle.take([...guesses, ...rights, ...hashes])
  if (retryAfterMs > 0) throw new AccountRefusal('rate_limited', { retryAfterMs })
}
