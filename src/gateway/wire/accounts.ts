import * as z from 'zod'
import { field, messageId, userId } from './fields.ts'

/** Requests and answers of the built-in accounts. The server validates by these, and /openapi.json is made of them. */

const MAX_NAME = 128
const MAX_SECRET = 256
/** UTF-16 units; how many characters a password may have is said by the rules of passwords. */
const MAX_PASSWORD = 512

const name = field(z.string().min(1).max(MAX_NAME), `a text of 1 to ${MAX_NAME} characters`)
const password = field(z.string().min(1).max(MAX_PASSWORD), `a text of 1 to ${MAX_PASSWORD} characters`)
const secret = field(z.string().min(1).max(MAX_SECRET), `a text of 1 to ${MAX_SECRET} characters`)

const client = {
  client: field(z.enum(['cookie', 'token']), 'cookie or token').optional(),
  device_name: field(z.string().min(1).max(64), 'a text of 1 to 64 characters').optional(),
  device_token: secret.optional(),
}

export const registerBody = z.strictObject({
  username: name,
  password,
  display_name: name.optional(),
  invite: secret.optional(),
  ...client,
})
export const loginBody = z.strictObject({ username: name, password, ...client })
export const refreshBody = z.strictObject({ refresh_token: secret, attempt: messageId })
export const passwordBody = z.strictObject({ current: password, new: password })
export const recoverBody = z.strictObject({ username: name, recovery_code: secret, new: password })
export const resetBody = z.strictObject({ link_token: secret, new: password })

const displayName = field(z.string().max(MAX_NAME).nullable(), 'a text, or null for none')
export const profileBody = z.strictObject({
  display_name: displayName.optional(),
  username: name.optional(),
  discoverable: field(z.boolean(), 'true or false').optional(),
})
export const deleteBody = z.strictObject({ password })

export const account = z.object({
  user_id: userId,
  username: z.string(),
  display_name: z.string(),
  avatar: z.string().optional(),
  role: z.enum(['member', 'admin']),
})
export const tokenAnswer = z.object({ token: z.string(), expires_at: z.iso.datetime() })
export const signedInAnswer = tokenAnswer.extend({
  user: account,
  refresh_token: z.string().optional(),
  device_token: z.string().optional(),
})
export const refreshAnswer = tokenAnswer.extend({ refresh_token: z.string() })
export const sessionsAnswer = z.object({
  sessions: z.array(
    z.object({
      session_id: z.guid(),
      device_name: z.string().nullable(),
      created_at: z.iso.datetime(),
      last_used_at: z.iso.datetime(),
      current: z.boolean(),
    }),
  ),
})
export const recoveryCodesAnswer = z.object({ recovery_codes: z.array(z.string()) })
export const profile = account.extend({ discoverable: z.boolean(), created_at: z.iso.datetime() })
