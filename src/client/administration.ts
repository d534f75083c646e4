import type { AdminUser, Invite, NewInvite, Role } from './accounts-types.ts'
import type { Rest } from './rest.ts'

/** Invites, and the people who have come. Rejects with `forbidden` for a person who is no administrator. */
export interface Invites {
  create(invite?: NewInvite): Promise<Invite>
  list(): Promise<readonly Invite[]>
  remove(codeId: string): Promise<void>
}

/** `forbidden` for whoever is no admin. The last admin cannot be suspended or made another. */
export interface Administration {
  users(query?: {
    readonly search?: string
    readonly cursor?: string
  }): Promise<{ readonly users: readonly AdminUser[]; readonly next_cursor: string | null }>
  suspend(userId: string): Promise<AdminUser>
  unsuspend(userId: string): Promise<AdminUser>
  /** A link with which this user sets a new password, once. */
  resetLink(userId: string): Promise<string>
  setRole(userId: string, role: Role): Promise<AdminUser>
}

export function invitesOver(rest: Rest): Invites {
  return {
    create: (invite = {}) => rest.call('POST', '/api/invites', { body: invite }),
    list: async () => (await rest.call<{ invites: readonly Invite[] }>('GET', '/api/invites')).invites,
    remove: (id) => rest.call('DELETE', `/api/invites/${encodeURIComponent(id)}`),
  }
}

export function administrationOver(rest: Rest): Administration {
  const act = <T>(id: string, action: string, body: object = {}): Promise<T> =>
    rest.call('POST', `/api/admin/users/${encodeURIComponent(id)}/${action}`, { body })
  return {
    users: ({ search, cursor } = {}) => {
      const wanted = String(new URLSearchParams({ ...(search && { search }), ...(cursor && { cursor }) }))
      return rest.call('GET', `/api/admin/users${wanted && `?${wanted}`}`)
    },
    suspend: (id) => act(id, 'suspend'),
    unsuspend: (id) => act(id, 'unsuspend'),
    resetLink: async (id) => (await act<{ url: string }>(id, 'reset_link')).url,
    setRole: (id, role) => act(id, 'role', { role }),
  }
}
