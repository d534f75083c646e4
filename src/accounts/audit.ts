/** A person, a key or a program that does something, and from where. */
export interface Actor {
  readonly kind: 'user' | 'key' | 'command_line' | 'nobody' | 'service'
  /** A user id or the id of a service key; empty for the other kinds. */
  readonly id: string
  /** Where the request came from, and its id; empty where there is none. */
  readonly address: string
  readonly requestId: string
}

/** Whoever has the machine. */
export const COMMAND_LINE = { kind: 'command_line', id: '', address: '', requestId: '' } as const satisfies Actor

export const AUDIT_ACTIONS = [
  'register',
  'login',
  'login_failed',
  'logout',
  'logout_all',
  'session_end',
  'password_change',
  'password_recover',
  'password_reset',
  'recovery_codes',
  'username_change',
  'refresh_reuse',
  'bootstrap_link',
  'reset_link',
  'invite_create',
  'invite_revoke',
  'create',
  'suspend',
  'unsuspend',
  'role',
  'delete',
  'revoke',
  'describe',
  'token_issue',
  'key_create',
  'epoch_renew',
] as const

export type AuditAction = (typeof AUDIT_ACTIONS)[number]

/** One thing that was done. Nothing in it is a secret. */
export interface AuditEntry {
  readonly actor: Actor
  readonly action: AuditAction
  /** The object of the action: a user id, the id of a session or of an invite. */
  readonly target: string
  /** Numbers, texts and truths alone, so that they read the same when they come back. */
  readonly details?: Readonly<Record<string, string | number | boolean>>
}
