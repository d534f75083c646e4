import * as z from 'zod'
import { account } from './accounts.ts'
import { cursor, field, wholeNumber } from './fields.ts'

/** Requests and answers of administrators. The server validates by these, and /openapi.json is made of them. */

const MAX_USES = 1_000
const MAX_INVITE_SECONDS = 30 * 86_400
const MAX_SEARCH = 256

const role = field(z.enum(['member', 'admin']), 'member or admin')

export const peopleQuery = z.strictObject({
  search: field(z.string().min(1).max(MAX_SEARCH), `a text of 1 to ${MAX_SEARCH} characters`).optional(),
  cursor: cursor.optional(),
})
export const roleBody = z.strictObject({ role })
export const inviteBody = z.strictObject({
  uses: wholeNumber(1, MAX_USES).optional(),
  expires_in: wholeNumber(1, MAX_INVITE_SECONDS).optional(),
  role: role.optional(),
})

export const person = account.extend({
  state: z.enum(['active', 'suspended', 'deleted']),
  created_at: z.iso.datetime(),
})
export const peopleAnswer = z.object({ users: z.array(person), next_cursor: z.string().nullable() })
export const linkAnswer = z.object({ url: z.string() })
export const invite = z.object({
  code_id: z.string(),
  role,
  uses: z.int(),
  uses_left: z.int(),
  created_by: z.string(),
  created_at: z.iso.datetime(),
  expires_at: z.iso.datetime(),
})
export const newInviteAnswer = invite.extend({ code: z.string(), url: z.string() })
export const invitesAnswer = z.object({ invites: z.array(invite) })
export const personPath = z.object({ user_id: z.string() })
export const invitePath = z.object({ code_id: z.string() })
