import { type Network, siteOf } from './network.ts'
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
  return [throttleKey('network', address), ...ofSite('site', address)]
}

function hashesOf({ address, isNetworkShared }: Network): ThrottleKey[] {
  if (isNetworkShared) return [throttleKey('sharedHashes', address)]
  return [throttleKey('hashes', address), ...ofSite('siteHashes', address)]
}

function ofSite(kind: 'site' | 'siteHashes', address: string): ThrottleKey[] {
  const site = siteOf(address)
  return site === undefined ? [] : [throttleKey(kind, site)]
}

/** Throws when there have been too many. */
export async function takeAttempt(throttle: Throttle, { guesses, rights, hashes }: Attempt): Promise<void> {
  const retryAfterMs = await throttle.take([...guesses, ...rights, ...hashes])
  if (retryAfterMs > 0) throw new AccountRefusal('rate_limited', { retryAfterMs })
}
