import { RecentSet } from '../lib/recent-set.ts'

/** What a session goes on by: the hash of its cookie, or the id that its refresh tokens hold. */
export type SessionKey = Buffer | string

/** Some megabytes. */
export const MAX_KNOWN = 20_000

/** Sessions that went on of late: these go on while somebody beside them, behind one address, tries one secret after another. */
export class KnownSessions {
  readonly #names = new RecentSet<string>(MAX_KNOWN)

  has(key: SessionKey): boolean {
    return this.#names.has(nameOf(key))
  }

  add(key: SessionKey): void {
    this.#names.add(nameOf(key))
  }

  /** Those that went on before all of these, the oldest first. */
  addOlder(keys: readonly SessionKey[]): void {
    this.#names.addOlder(keys.map(nameOf))
  }

  delete(key: SessionKey): void {
    this.#names.delete(nameOf(key))
  }
}

function nameOf(key: SessionKey): string {
  return typeof key === 'string' ? key : key.toString('base64')
}
