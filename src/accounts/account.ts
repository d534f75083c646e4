import type { UserId } from '../protocol/message.ts'

/** What somebody may do beside writing messages. */
export const ROLES = ['member', 'admin'] as const
export type Role = (typeof ROLES)[number]

export const STATES = ['active', 'suspended', 'deleted'] as const
export type AccountState = (typeof STATES)[number]

/** A person who signs in here. */
export interface Account {
  /** Made by the service, opaque, and for ever. */
  readonly userId: UserId
  /** As typed; people may change it. Empty once the account is deleted. */
  readonly username: string
  readonly displayName: string
  readonly avatarUrl: string | undefined
  readonly role: Role
  readonly state: AccountState
  /** Whether a search may find this person. */
  readonly discoverable: boolean
  readonly createdAtMs: number
}

/** 1 is kept for moderators. */
const ROLE_NUMBERS: Readonly<Record<Role, number>> = { member: 0, admin: 2 }

/** As the database has it. */
export function roleNumber(role: Role): number {
  return ROLE_NUMBERS[role]
}

export function roleOf(number: number): Role {
  return number === ROLE_NUMBERS.admin ? 'admin' : 'member'
}

/** As the database has it. */
export function stateOf(number: number): AccountState {
  return STATES[number] ?? 'deleted'
}

export const USERNAME_PATTERN = /^[A-Za-z0-9._-]{3,32}$/

/** By what usernames are compared. */
export function usernameKey(username: string): string {
  return username.toLowerCase()
}
