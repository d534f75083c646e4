import { z } from 'zod'
import type { NamedHost } from '../push/hosts.ts'
import { subjectFault } from '../push/vapid.ts'
import { optional, wholeNumber } from './kinds.ts'

const HOST = /^(\*\.)?([a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::(\d{1,5}))?$/

/** Web Push: notifications of browsers that have no page open. */
export const pushVariables = {
  PUSH_SUBJECT: optional(
    z.string().refine((text) => subjectFault(text) === undefined),
    'none: push is off',
    {
      expects: 'an https: or mailto: address with a public domain such as mailto:admin@example.com',
      meaning: 'whom push services write to when something is wrong; turns push on',
    },
  ),
  PUSH_AFTER_SECONDS: wholeNumber(
    1,
    3_600,
    5,
    'how long after a message somebody who is connected and has not acknowledged it is notified; six times that if nobody reads it',
  ),
  PUSH_TTL_SECONDS: wholeNumber(60, 2_419_200, 86_400, 'how long a notification is worth to be shown'),
  PUSH_HOSTS: optional(
    z
      .string()
      .transform(hostsIn)
      .pipe(z.array(z.custom<NamedHost>(isHost))),
    "none: the browsers' own",
    {
      expects: 'a comma-separated list of hosts such as push.example.com, *.example.com or push.example.com:8443',
      meaning: 'further push services; one with a port may lead to an address inside',
    },
  ),
}

function hostsIn(text: string): (NamedHost | undefined)[] {
  return text.split(',').map((one) => hostIn(one.trim().toLowerCase()))
}

function hostIn(text: string): NamedHost | undefined {
  const [, wildcard, host, port] = HOST.exec(text) ?? []
  if (host === undefined || Number(port ?? 443) > 65_535 || port === '0') return undefined
  const isSuffix = wildcard !== undefined
  // A wildcard that may lead inside would open every name below it, and one of everything the whole internet.
  if (isSuffix && (port !== undefined || !host.includes('.'))) return undefined
  return Object.freeze({ host, isSuffix, port })
}

function isHost(one: unknown): boolean {
  return one !== undefined
}

const pushShape = z.object(pushVariables)

/** None: push is off. */
export type PushConfig =
  | {
      readonly subject: string
      readonly afterMs: number
      readonly ttlSeconds: number
      readonly hosts: readonly NamedHost[]
    }
  | undefined

export function toPushConfig(given: z.infer<typeof pushShape>): PushConfig {
  if (given.PUSH_SUBJECT === undefined) return undefined
  return Object.freeze({
    subject: given.PUSH_SUBJECT,
    afterMs: given.PUSH_AFTER_SECONDS * 1000,
    ttlSeconds: given.PUSH_TTL_SECONDS,
    hosts: Object.freeze(given.PUSH_HOSTS ?? []),
  })
}
