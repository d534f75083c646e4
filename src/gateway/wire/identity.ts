import * as z from 'zod'
import { USER_ID_PATTERN } from '../../protocol/limits.ts'
import { field, UUID, userId } from './fields.ts'

/** Requests and answers about who people are and who is asking. The server validates by these, and /openapi.json is made of them. */

const MAX_IDS = 100
const MAX_ID_LENGTH = 256

const seconds = field(z.int().min(1), 'a whole number of seconds from 1 on')

export const tokenBody = z.strictObject({ user_id: userId, expires_in: seconds.optional() })
export const tokenAnswer = z.object({ token: z.string(), expires_at: z.iso.datetime() })
export const ticketAnswer = z.object({ ticket: z.string(), expires_in: z.int() })

const anId = field(z.string().min(1).max(MAX_ID_LENGTH), `a text of 1 to ${MAX_ID_LENGTH} characters`)
export const revokeBody = z.strictObject({
  user_id: userId.optional(),
  session_id: anId.optional(),
  jti: anId.optional(),
  key_id: anId.optional(),
})

export const userQuery = z.strictObject({ user_id: userId.optional() })
export const usersQuery = z.strictObject({
  user_id: userId.optional(),
  ids: field(z.string().refine(isIdList), `at most ${MAX_IDS} user ids with commas between them`).optional(),
  username: anId.optional(),
  search: field(
    z
      .string()
      .max(MAX_ID_LENGTH)
      .refine((text) => text.normalize('NFKC').trim().length >= 2),
    `a text of 2 to ${MAX_ID_LENGTH} characters, without spaces around it`,
  ).optional(),
})

function isIdList(text: string): boolean {
  const ids = text.split(',')
  return ids.length <= MAX_IDS && ids.every((id) => USER_ID_PATTERN.test(id))
}

const textOrNull = field(z.string().nullable(), 'a text, or null for none')

/** What the words of a name and an address may be is checked by the directory of people. */
export const describeBody = z.strictObject({
  display_name: textOrNull.optional(),
  avatar_url: textOrNull.optional(),
})

export const avatarId = field(z.guid(), UUID)
export const user = z.object({
  user_id: userId,
  username: z.string().optional(),
  display_name: z.string(),
  avatar: z.string().optional(),
})
/** With built-in accounts a person sees more of themselves. */
export const oneself = user.extend({
  role: z.enum(['member', 'admin']).optional(),
  discoverable: z.boolean().optional(),
  created_at: z.iso.datetime().optional(),
})
export const usersAnswer = z.object({ users: z.array(user) })

export const serverAnswer = z.object({
  name: z.string(),
  version: z.string(),
  auth: z.enum(['none', 'jwt', 'accounts']),
  registration: z.enum(['invite', 'open', 'closed']).optional(),
  login_url: z.string().optional(),
  push: z.boolean(),
  max_content_bytes: z.int(),
})
