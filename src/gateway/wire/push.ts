import * as z from 'zod'
import { field } from './fields.ts'

/** Requests and answers about notifications. */

const MAX_ENDPOINT_LENGTH = 4_096
const MAX_KEY_LENGTH = 256

const text = (max: number) => z.string().min(1).max(max)

/**
 * Source: W3C Push API, `PushSubscription.toJSON()`. Browsers may add to it. What an endpoint and keys may be is checked where
 * they are kept.
 */
const browserSubscription = z.object({
  endpoint: text(MAX_ENDPOINT_LENGTH),
  keys: z.object({ p256dh: text(MAX_KEY_LENGTH), auth: text(MAX_KEY_LENGTH) }),
  expirationTime: z.number().min(0).max(8.64e15).nullable().optional(),
})

export const subscriptionBody = z.strictObject({
  subscription: field(
    browserSubscription,
    'what PushSubscription.toJSON() gives: endpoint, keys with p256dh and auth, and expirationTime if there is one',
  ),
  content: field(z.enum(['none', 'sender', 'full']), 'none, sender or full').optional(),
  locale: field(z.string().regex(/^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}$/), 'a language tag such as de-CH').optional(),
})

export const endpointBody = z.strictObject({
  endpoint: field(text(MAX_ENDPOINT_LENGTH), `a text of 1 to ${MAX_ENDPOINT_LENGTH} characters`),
})

export const keyAnswer = z.object({ public_key: z.string() })
