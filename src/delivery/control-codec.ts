import type { UserChanged } from '../protocol/events.ts'

/**
 * What one instance tells all others, beside the frames for users. It is told at most once, so it may only make the others
 * faster at what they find out by themselves.
 *
 * To add a kind, add it to this type and to `parsers`. An instance that does not know a kind ignores it, so that versions can
 * run side by side.
 */
export type ControlMessage =
  /** Frames from the sender may have been lost. */
  | { readonly kind: 'gap' }
  /** Somebody is no longer to be believed: look who. */
  | { readonly kind: 'revoked' }
  /** A person is shown in another way from now on. */
  | { readonly kind: 'user'; readonly user: UserChanged }

/** Raised when what is there already gets another meaning; a message of a higher version is ignored as a whole. */
const VERSION = 1

type Fields = Readonly<Record<string, unknown>>

/** Makes a kind's message of its fields, or undefined when they are not what the kind needs. */
const parsers: { readonly [Kind in ControlMessage['kind']]: (fields: Fields) => ControlMessage | undefined } = {
  gap: () => ({ kind: 'gap' }),
  revoked: () => ({ kind: 'revoked' }),
  user: ({ user }) => (isUserChanged(user) ? { kind: 'user', user } : undefined),
}

function isUserChanged(user: unknown): user is UserChanged {
  const { user_id, display_name, avatar } = { ...(user as Partial<UserChanged> | null) }
  const isText = (value: unknown): boolean => typeof value === 'string'
  return isText(user_id) && isText(display_name) && (avatar === undefined || isText(avatar))
}

/** Of versions before this one: name of the instance, and since how many milliseconds frames may have been lost. */
const OLD_GAP = /^(\S+) \d+$/

/**
 * `instanceId` names the sender, which ignores its own. No blank stands in the text: instances of 0.1.0 take what follows one for
 * a number of milliseconds, and one that is no number would end their healing. Without it they take any kind for a gap.
 */
export function encodeControl(instanceId: string, message: ControlMessage): string {
  return JSON.stringify({ v: VERSION, from: instanceId, ...message }).replaceAll(' ', '\\u0020')
}

/** Undefined for what this instance told itself, and for a kind that it does not understand. */
export function decodeControl(ownInstanceId: string, text: string): ControlMessage | undefined {
  const old = OLD_GAP.exec(text)
  if (old) return old[1] === ownInstanceId ? undefined : { kind: 'gap' }
  const { v, from, kind, ...fields } = fieldsOf(text)
  if (v !== VERSION || typeof from !== 'string' || from === ownInstanceId || !isKnown(kind)) return undefined
  return parsers[kind](fields)
}

function isKnown(kind: unknown): kind is ControlMessage['kind'] {
  return typeof kind === 'string' && Object.hasOwn(parsers, kind)
}

function fieldsOf(text: string): Fields {
  try {
    const value: unknown = JSON.parse(text)
    return value !== null && typeof value === 'object' ? { ...value } : {}
  } catch {
    return {} // no JSON: another's, or a later version's
  }
}
