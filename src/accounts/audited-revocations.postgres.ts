import {
  type Revocation,
  type RevocationStore,
  type RevocationTarget,
  type Revoker,
  targetKey,
} from '../auth/revocation-store.ts'
import type { Queries, Queryable } from '../postgres/queries.ts'
import type { UserId } from '../protocol/message.ts'
import { holdAccount } from './account-rows.postgres.ts'
import type { Actor } from './audit.ts'
import { writeAudit } from './audit-log.postgres.ts'
import { revokeInvitesBy } from './invite-rows.postgres.ts'
import { voidLinksBy } from './link-rows.postgres.ts'
import { endSessions, ownerOfSession } from './session-rows.postgres.ts'

export interface AuditedRevocationsOptions {
  readonly queries: Queries
  /** The store within a transaction. */
  readonly storeIn: (queries: Queryable) => RevocationStore
}

/**
 * A store of revocations where people sign in: each that somebody asks for ends the logins that it means and is in the audit, in the
 * same transaction. A revocation alone refuses tokens until the last of them has expired; the cookie or refresh token of a login that
 * stayed open would then bring new ones, and an invite of a key would go on making administrators.
 */
export class AuditedRevocations implements RevocationStore {
  readonly #options: AuditedRevocationsOptions

  constructor(options: AuditedRevocationsOptions) {
    this.#options = options
  }

  add(target: RevocationTarget, options: Revoker & { readonly lifetimeSeconds: number }): Promise<Revocation> {
    return this.#options.queries.transaction(async (transaction) => {
      await endLogins(transaction, target, options)
      const revocation = await this.#options.storeIn(transaction).add(target, options)
      const actor = actorOf(options)
      writeAudit(transaction, { actor, action: 'revoke', target: targetKey(target) })
      return revocation
    })
  }

  since(sinceMs: number | undefined) {
    return this.#store.since(sinceMs)
  }

  issuedAt(userId: UserId): Promise<number> {
    return this.#store.issuedAt(userId)
  }

  removeExpired(): Promise<void> {
    return this.#store.removeExpired()
  }

  get #store(): RevocationStore {
    return this.#options.storeIn(this.#options.queries)
  }
}

async function endLogins(
  transaction: Queryable,
  target: RevocationTarget,
  { actor, lifetimeSeconds }: { actor: string; lifetimeSeconds: number },
): Promise<void> {
  const ending = { because: 'revoke', actor, lifetimeSeconds } as const
  if ('user_id' in target) {
    // A login with it comes before, and is ended, or after.
    await holdAccount(transaction, target.user_id)
    await endSessions(transaction, { userId: target.user_id }, ending)
  }
  if ('key_id' in target) {
    // As it made them: see `nameOf` of the store of administrators.
    const createdBy = `key ${target.key_id}`
    await voidLinksBy(transaction, createdBy)
    await revokeInvitesBy(transaction, createdBy)
  }
  if (!('session_id' in target)) return
  const userId = await ownerOfSession(transaction, target.session_id)
  if (userId !== undefined) await endSessions(transaction, { userId, sessionIds: [target.session_id] }, ending)
}

/** As `revocations` names who did it: a key, a command, or a user by their id. */
function actorOf({ actor: name, address = '', requestId = '' }: Revoker): Actor {
  const from = { address, requestId }
  if (name === 'command line') return { kind: 'command_line', id: '', ...from }
  const [, keyId] = /^key (.+)$/.exec(name) ?? []
  return keyId === undefined ? { kind: 'user', id: name, ...from } : { kind: 'key', id: keyId, ...from }
}
