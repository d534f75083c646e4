import type { User } from './types.ts'

/** The user who is signed in. */
export interface Account extends User {
  readonly username: string
  readonly role: Role
}
/** What only the user sees of their own profile. */
export interface Profile extends User {
  readonly role?: Role
  readonly discoverable?: boolean
  readonly created_at?: string
}
export type Role = 'member' | 'admin' | (string & {})

export interface ServerInfo {
  readonly name: string
  readonly version: string
  readonly auth: 'none' | 'jwt' | 'accounts'
  /** With accounts: who may register. */
  readonly registration?: 'invite' | 'open' | 'closed'
  /** With tokens of another issuer: where people of the chat page get one. */
  readonly login_url?: string
  readonly push: boolean
  readonly max_content_bytes: number
}

export interface SignUp {
  readonly username: string
  readonly password: string
  readonly display_name?: string
  /** Of an invitation, or of the first link that the server has printed. */
  readonly invite?: string
  /** Named so in the list of sessions. */
  readonly device_name?: string
}
export type SignIn = Pick<SignUp, 'username' | 'password' | 'device_name'>

export interface Session {
  readonly session_id: string
  readonly device_name?: string
  readonly created_at: string
  readonly last_used_at: string
  /** The one that asks. */
  readonly current: boolean
}

export interface Invite {
  readonly code_id: string
  /** Told once, when it is made. */
  readonly code?: string
  readonly url?: string
  readonly uses?: number
  readonly expires_at?: string
  readonly role?: Role
}
/** `expires_in`: seconds. */
export interface NewInvite {
  readonly uses?: number
  readonly expires_in?: number
  readonly role?: Role
}

export interface AdminUser extends User {
  readonly role?: Role
  readonly state?: string
  readonly created_at?: string
}

/** How much of a message a notification shows; `sender` unless said. */
export type PushContent = 'none' | 'sender' | 'full'
export interface PushOptions {
  readonly content?: PushContent
  /** Of the notification's text, as `de`. */
  readonly locale?: string
}
