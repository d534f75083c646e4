import { type Client, createClient } from '../../client/index.ts'
import type { Auth } from '../../client/types.ts'
import { identity } from '../parts/identity.ts'
import { keep, kept } from '../parts/kept.ts'
import { announceLeaving, isSomebodyLeaving, othersGone } from '../parts/leaving.ts'
import { declarePushes, undoPushes } from '../parts/pushing.ts'
import { decoded } from '../parts/route.ts'
import { askServer, server, socketUrl } from '../parts/server.ts'
import { Value } from '../parts/store.ts'
import { endSession } from './ending.ts'
import {
  forgetToken,
  getToken,
  hasToken,
  isLast,
  lastToken,
  ownerOfToken,
  type Stranger,
  take,
  tryToken,
} from './tokens.ts'

/** The client of whoever uses this tab; undefined until they have said who they are. */
export const present = new Value<Client | undefined>(undefined)

/** What is asked of whoever is not here yet, beside what the kind of server asks. */
export interface Door {
  /** The part of the address behind `#`, if it is a link of this server: an invitation, a new password. */
  readonly hash: string
  /** A link wants to sign another person in than the one who is here. */
  readonly stranger?: Stranger
  /** The name of whoever is here, who is asked whether to open the link. */
  readonly asked?: string
  /** Somebody is leaving. Until that is done nobody is asked in: what ends would end with the next one. */
  readonly isLeaving?: boolean
}
export const door = new Value<Door>({ hash: '' })

/** With `AUTH=none` each tab is a person of its own: two windows can talk to each other. */
const NAME = 'name'
/** With accounts: whether somebody has signed in here. The session itself is in a cookie, which no script sees. */
const SIGNED_IN = 'signed-in'
const LINK = /^#(invite|reset|bootstrap|token)=/
const TOKEN_LINK = '#token='

/** What the address brought, until it has been used. */
let link = ''
let beginning: Promise<void> | undefined

/** Takes up where this tab was, or what a link asks for. One at a time: two would make this tab two people. */
export function begin(): Promise<void> {
  readAddress()
  beginning ??= takeUp().finally(() => {
    beginning = undefined
  })
  return beginning
}

// A link that is opened in a tab that has the page already does not load it anew.
addEventListener('hashchange', () => {
  if (LINK.test(location.hash)) void begin().then(() => (link === '' ? undefined : begin()))
})

async function takeUp(): Promise<void> {
  await going
  const info = await askServer()
  if (info?.auth === 'jwt' && link.startsWith(TOKEN_LINK) && !(await isTokenUsed())) return
  server.set(info)
  if (info?.auth === 'accounts') await othersLeave().then(beginSignedIn)
  else if (info?.auth === 'jwt') beginByToken()
  else if (info?.auth === 'none') beginNamed()
}

/** A link works once: it stays neither in the address nor in the history. */
function readAddress(): void {
  if (!LINK.test(location.hash)) return
  link = location.hash
  history.replaceState(history.state, '', location.pathname)
}

function beginNamed(): void {
  link = ''
  const name = kept(NAME, 'sessionStorage')
  if (name !== undefined && !present.get()) enter({ userId: name })
}

function beginSignedIn(): void {
  const hash = link.startsWith(TOKEN_LINK) ? '' : link
  link = ''
  const client = present.get()
  if (hash === '' && !client && kept(SIGNED_IN) !== undefined) enter({ session: true })
  if (hash === '') return
  const asked = client && (client.user(client.userId).get()?.display_name ?? client.userId)
  door.set({ hash, ...(asked !== undefined && { asked }) })
}

/** Whether to open the link that has come. Whoever does is not signed out by that alone: it is as if it was opened in another tab. */
export async function follow(isTaken: boolean): Promise<void> {
  const { hash } = door.get()
  if (!isTaken) return door.set({ hash: '' })
  door.set({ hash })
  await makeWay()
}

function beginByToken(): void {
  if (hasToken() && !present.get() && !door.get().stranger) enter({ getToken })
}

/** Whether the link has been used. If not it is tried again when the server is there, unless somebody is here who can open it again. */
async function isTokenUsed(): Promise<boolean> {
  const used = link
  // Another one may come while this is asked for.
  link = ''
  try {
    const { stranger, isTaken } = await tryToken(decoded(used.slice(TOKEN_LINK.length)))
    if (stranger) door.set({ hash: '', stranger })
    if (isTaken) await makeWay()
    return true
  } catch {
    if (!present.get()) {
      link ||= used
      server.set(undefined)
    }
    return false
  }
}

/** The client of one token ends before there is one of the next. */
async function makeWay(): Promise<void> {
  const client = present.get()
  identity.set(undefined)
  present.set(undefined)
  await client?.close()
}

/** What the person has answered: whether they are the stranger. */
export const meet = (stranger: Stranger, isTaken: boolean): Promise<void> => alone(() => met(stranger, isTaken))

async function met({ token, ...named }: Stranger, isTaken: boolean): Promise<void> {
  if (isTaken) {
    const auth = lastProof()
    const isNotified = mayDeclare()
    door.set({ hash: '', isLeaving: true })
    await makeWay()
    // What comes for the one of before is not for the eyes of the next.
    await endSession(auth, { isForGood: false, isNotified })
    take(token, named)
  }
  door.set({ hash: '' })
  if (hasToken() && !present.get()) enter({ getToken })
}

/** This tab becomes this person. */
export function enter(auth: Auth): void {
  const expectedUserId = 'getToken' in auth ? ownerOfToken() : undefined
  const client = createClient({ url: socketUrl(), auth, ...(expectedUserId !== undefined && { expectedUserId }) })
  if ('userId' in auth) {
    keep(NAME, auth.userId, 'sessionStorage')
    keep(NAME, auth.userId)
  } else if ('session' in auth) keep(SIGNED_IN, 'yes')
  client.on('logout', () => {
    const isNotified = mayDeclare()
    if (isNotified) void undoPushes()
    left(true, isNotified)
    void alone(othersLeave)
  })
  client.on('status', ({ state }) => {
    if (state === 'live' && mayDeclare()) void declarePushes(auth)
  })
  door.set({ hash: '' })
  identity.set(auth)
  present.set(client)
}

/** The name that was used last in this browser, in any tab. */
export const lastName = (): string | undefined => kept(NAME)

/** Of several people in the tabs of one browser, the notifications are for the one who came last. */
export function mayDeclare(): boolean {
  const auth = identity.get()
  const client = present.get()
  if (!auth || !client) return false
  if ('userId' in auth) return (lastName() ?? auth.userId) === auth.userId
  return !('getToken' in auth) || isLast(client.userId)
}

/** Removes everything of this person from this device, also in other tabs. */
export const leave = (): Promise<void> => alone(() => goneAway(true))

/** Their session has ended, and they may come back: what waits to be sent stays here for them. */
export const pause = (): Promise<void> => alone(() => goneAway(false))

let going: Promise<void> | undefined

/** One change of people at a time: a link that comes meanwhile waits for it. */
function alone(task: () => Promise<void>): Promise<void> {
  going ??= task().finally(() => {
    going = undefined
  })
  return going
}

/** Somebody has left in another tab: nobody is asked in before the server has heard of it. */
async function othersLeave(): Promise<void> {
  if (!isSomebodyLeaving()) return
  // A link that is open here has left the address: it opens again afterwards.
  const { hash } = door.get()
  door.set({ hash, isLeaving: true })
  await othersGone()
  door.set({ hash })
}

async function goneAway(isForGood: boolean): Promise<void> {
  const client = present.get()
  const auth = lastProof()
  const isNotified = mayDeclare()
  door.set({ hash: '', isLeaving: true })
  if (isForGood && auth && 'session' in auth) announceLeaving()
  left(isForGood, isNotified)
  // First what is kept here: nothing of the network is in its way, and the page may be closed at any moment.
  try {
    await (isForGood ? client?.logout() : client?.close())
    await endSession(auth, { isForGood, isNotified })
  } finally {
    door.set({ hash: '' })
  }
}

/** How whoever is here proves who they are, also once it is forgotten. */
function lastProof(): Auth | undefined {
  const auth = identity.get()
  return auth && 'getToken' in auth ? { getToken: lastToken() } : auth
}

function left(isForGood: boolean, isNotified: boolean): void {
  keep(NAME, undefined, 'sessionStorage')
  keep(SIGNED_IN, undefined)
  // Who is here by now is another one where the last to come was.
  forgetToken(isForGood && isNotified)
  identity.set(undefined)
  present.set(undefined)
}
