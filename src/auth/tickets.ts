import { createHash, randomBytes } from 'node:crypto'
import type { TokenIdentity } from './claims.ts'

/** Seconds between the issue of a ticket and its end. */
export const TICKET_SECONDS = 30
/** 128 random bits; what has another form is no ticket, and no question to the database. */
const TICKET_PATTERN = /^[A-Za-z0-9_-]{22}$/

/** Durable tickets, each of which is redeemed at most once, on whichever instance. */
export interface TicketStore {
  add(hash: Buffer, identity: TokenIdentity, lifetimeSeconds: number): Promise<void>
  /** The identity, to exactly one of those who ask; undefined for all others and once the ticket has ended. */
  take(hash: Buffer): Promise<TokenIdentity | undefined>
}

/** Makes a ticket for whoever holds this identity. */
export async function issueTicket(store: TicketStore, identity: TokenIdentity): Promise<string> {
  const ticket = randomBytes(16).toString('base64url')
  await store.add(hashOf(ticket), identity, TICKET_SECONDS)
  return ticket
}

/** Rejects when the database is away. */
export function redeemTicket(store: TicketStore, ticket: string): Promise<TokenIdentity | undefined> {
  return TICKET_PATTERN.test(ticket) ? store.take(hashOf(ticket)) : Promise.resolve(undefined)
}

function hashOf(ticket: string): Buffer {
  return createHash('sha256').update(ticket).digest()
}
