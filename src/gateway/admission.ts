import { randomUUID } from 'node:crypto'
import { type Authenticator, type Identity, type Verification, verified } from '../auth/authenticator.ts'
import type { TokenIdentity } from '../auth/claims.ts'
import { ownText } from '../lib/own-text.ts'
import { SUBPROTOCOLS, type Subprotocol } from '../protocol/encoding.ts'
import { USER_ID_PATTERN } from '../protocol/limits.ts'
import type { UserId } from '../protocol/message.ts'
import { Connection, type ConnectionServices } from './connection.ts'
import { type Credential, credentialOf, slowedDown, unauthorized } from './credential.ts'
import type { Guard, Place } from './guard.ts'
import { FOREIGN_HOST, type HostRule } from './host.ts'
import type { Lobby, Visit } from './lobby.ts'
import { isOriginAllowed, type OriginPolicy } from './origin.ts'
import { parseQuery, refused } from './request.ts'
import { errorAnswer, RequestError, type RestAnswer, type RestRequest } from './rest-exchange.ts'
import type { SocketListener } from './socket.ts'
import { CODECS } from './wire/codec.ts'
import { wrongField } from './wire/faults.ts'
import { socketQuery, tokenSocketQuery } from './wire/rest.ts'

/** What becomes of an upgrade request: a connection, or an HTTP answer that says why not. */
export type Admission = AdmittedSocket | { readonly refused: RestAnswer }

export interface AdmittedSocket {
  readonly listener: SocketListener
  readonly subprotocol: Subprotocol | ''
  readonly isBinary: boolean
  /** To be called when the socket could not be opened: then the listener never hears of it. */
  abandoned(): void
}

export type UpgradeHandler = (request: RestRequest) => Admission

/** What a socket needs to prove who is asking. */
export interface SocketTokens {
  readonly authenticator: Authenticator
  readonly lobby: Lobby
}

export interface UpgradeOptions {
  readonly services: ConnectionServices
  /** None under `AUTH=none`, where the query is believed. */
  readonly tokens: SocketTokens | undefined
  readonly guard: Guard
  readonly origins: OriginPolicy
  readonly hostRule: HostRule
  isDraining(): boolean
}

/** Decides synchronously: an asynchronous upgrade can lose the socket between the two halves. */
export function createUpgradeHandler(options: UpgradeOptions): UpgradeHandler {
  return (request) => {
    try {
      return admit(request, options)
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      const { code, detail } = slowedDown(error, request, options.guard)
      return { refused: errorAnswer(code, request.requestId, detail) }
    }
  }
}

function admit(request: RestRequest, options: UpgradeOptions): Admission {
  const { guard, origins, hostRule, isDraining } = options
  const { headers } = request
  if (isDraining()) throw new RequestError('unavailable', { message: 'The service is restarting.' })
  if (!hostRule(headers.get('host'))) throw new RequestError('forbidden', { message: FOREIGN_HOST })
  if (!isOriginAllowed(headers.get('origin'), headers.get('host'), origins)) {
    throw new RequestError('forbidden', { message: 'This Origin may not connect; see ALLOWED_ORIGINS.' })
  }
  // Once: to find it out asks the system.
  const address = request.address()
  const place = guard.reserve(address)
  if (typeof place === 'string') throw new RequestError(place, { message: 'No further connection can be opened now.' })
  try {
    return admittedTo({ place, address }, request, options)
  } catch (error) {
    place.release()
    throw error
  }
}

function admittedTo(
  { place, address }: { place: Place; address: string },
  request: RestRequest,
  { services, tokens }: UpgradeOptions,
): AdmittedSocket {
  const offered = offeredNames(request)
  const subprotocol = chooseSubprotocol(offered)
  const codec = CODECS[subprotocol === '' ? 'json' : SUBPROTOCOLS[subprotocol]]
  const implicit = subprotocol === ''
  // The spread comes last: fields added after one make Node take 7 µs for it in place of 0.2.
  const connect = (identity: Identity): Connection =>
    new Connection({ codec, implicit, address, connectionId: randomUUID(), ...identity }, services, place)
  const listener = tokens
    ? listenerByToken(request, tokens, offered, { codec, implicit, address, connect, left: place.release })
    : connect({ userId: plainUser(request) ?? parseQuery(socketQuery, request).user_id })
  return { listener, subprotocol, isBinary: codec.binary, abandoned: place.release }
}

/** A query that says a user and nothing else, without a character that is written in another way there. */
const PLAIN_USER = /^user_id=([A-Za-z0-9._@-]+)$/

/**
 * The user of such a query, as nearly all are; undefined for any other, which its schema has to look at. When everybody comes back
 * at once the schema takes 7 µs of each, and V8 as much again to compile it.
 */
function plainUser({ query }: RestRequest): UserId | undefined {
  const userId = PLAIN_USER.exec(query)?.[1]
  return userId !== undefined && USER_ID_PATTERN.test(userId) ? ownText(userId) : undefined
}

function offeredNames({ headers }: RestRequest): string[] {
  const offered = headers.get('sec-websocket-protocol')
  if (offered === undefined) return []
  const names = offered.includes(',') ? offered.split(',') : [offered]
  return names.map((name) => name.trim()).filter((name) => name !== '')
}

/** The first offered subprotocol that we speak; empty when none is offered. */
function chooseSubprotocol(offered: readonly string[]): Subprotocol | '' {
  // A token may be offered beside the protocol's name; it chooses no protocol.
  const names = offered.filter((name) => !name.startsWith(BEARER))
  if (names.length === 0) return ''
  const chosen = names.find((name): name is Subprotocol => Object.hasOwn(SUBPROTOCOLS, name))
  if (chosen) return chosen
  throw refused(wrongField('Sec-WebSocket-Protocol', `one of ${Object.keys(SUBPROTOCOLS).join(', ')}, or left out`))
}

const BEARER = 'bearer.'

type PlannedVisit = Omit<Visit, 'claimed' | 'verification' | 'admit'> & { connect(identity: Identity): Connection }

/**
 * Which of the four doors a socket comes through. A bad header is refused before the upgrade. What a browser can send is
 * accepted first and refused on the socket, where a page can read why.
 */
function listenerByToken(
  request: RestRequest,
  { authenticator, lobby }: SocketTokens,
  offered: readonly string[],
  planned: PlannedVisit,
): SocketListener {
  const { connect } = planned
  const { user_id: claimed, ticket } = tokenQueryOf(request)
  const bearers = offered.filter((name) => name.startsWith(BEARER))
  const [bearer] = bearers
  const header = request.headers.get('authorization')
  if (bearers.length + (ticket === undefined ? 0 : 1) + (header === undefined ? 0 : 1) > 1) {
    throw new RequestError('invalid_request', { message: 'Give one credential: Authorization, bearer. or ticket.' })
  }
  const enter = (verification: Visit['verification']): SocketListener =>
    lobby.receive({ ...planned, claimed, verification, admit: connect })
  if (header !== undefined) {
    const credential = personOf(request, authenticator)
    if (credential instanceof Promise) return enter(credential.then(toVerification, toFault))
    if (claimed !== undefined && claimed !== credential.userId)
      throw new RequestError('forbidden', { field: 'user_id' })
    return connect(credential)
  }
  if (bearer !== undefined) {
    const verification = verified(authenticator, bearer.slice(BEARER.length))
    // What is good in the call needs no lobby; whoever is refused reads why on the socket, which a page can read alone.
    if ('identity' in verification && (claimed ?? verification.identity.userId) === verification.identity.userId)
      return connect(verification.identity)
    return enter(verification)
  }
  return enter(ticket === undefined ? undefined : authenticator.redeem(ticket))
}

function tokenQueryOf(request: RestRequest): { user_id?: UserId | undefined; ticket?: string | undefined } {
  if (request.query === '') return {}
  const user_id = plainUser(request)
  return user_id === undefined ? parseQuery(tokenSocketQuery, request) : { user_id }
}

const toVerification = (identity: TokenIdentity): Verification => ({ identity })
/** Trouble of our own stays that: a client then keeps its token and comes back. */
const toFault = (error: unknown): Verification => ({
  fault: error instanceof RequestError && error.code === 'unavailable' ? 'unavailable' : 'unknown_key',
})

/** The person of the header. A service key opens no socket. */
function personOf(request: RestRequest, authenticator: Authenticator): TokenIdentity | Promise<TokenIdentity> {
  const text = request.headers.get('authorization') ?? ''
  if (/^bearer +msk_/i.test(text)) throw unauthorized()
  const identityIn = (credential: Credential): TokenIdentity => {
    if (credential.kind === 'person') return credential.identity
    throw unauthorized()
  }
  const credential = credentialOf(request, authenticator)
  return credential instanceof Promise ? credential.then(identityIn) : identityIn(credential)
}
