/** The servers under measurement: ours and its peers, each started afresh for every run. */
import { fileURLToPath } from 'node:url'
import type { Role } from './cost.ts'
import type { Lab } from './lab.ts'
import { queryNumber } from './postgres.ts'
import { startServer } from './server-process.ts'
import type { Accounts } from './tinode-wire.ts'
import type { ConversationCount, Numbering } from './verify.ts'
import type { Encoding } from './wire.ts'
import type { WireName } from './wires.ts'

/** Something to run a load against. */
export interface Subject {
  readonly name: string
  start(lab: Lab): Promise<RunningSubject>
}

/** What a server speaks: our wire over WebSocket, with or without a token of each user, Socket.IO's packets, or a peer's own. */
export type Protocol = 'messaging' | 'messaging+jwt' | 'socketio' | 'centrifugo' | 'tinode'

export interface RunningSubject {
  readonly name: string
  readonly pid: number
  readonly host: string
  readonly port: number
  /** Where the second person of each pair connects, when it is another instance. */
  readonly peerPort?: number
  readonly protocol: Protocol
  readonly numbering: Numbering
  /** Begins every user id of this run, so that conversations are new even on a database that is not. */
  readonly userPrefix: string
  /** Whom it knows, when it calls people by names of its own. */
  readonly accounts?: Accounts
  readonly roles: readonly Role[]
  /** Whether it takes the cumulative `ack` of a receiver. */
  readonly knowsAck: boolean
  /** What is not stored as it was acknowledged; empty for a relay, which promises nothing. */
  storageFaults(conversations: readonly ConversationCount[]): Promise<string[]>
  recentLog(): string
  stop(): Promise<void>
}

/** The compiled file of a peer. */
export function peerFile(name: string): string {
  return fileURLToPath(new URL(`../peers/${name}.js`, import.meta.url))
}

export function protocolOf(peer: string): Protocol {
  if (peer.startsWith('centrifugo-')) return 'centrifugo'
  if (peer === 'tinode') return peer
  return peer.startsWith('socketio-') ? 'socketio' : 'messaging'
}

export function wireNameOf(protocol: Protocol, encoding: Encoding): WireName {
  if (protocol === 'messaging') return encoding
  return protocol === 'messaging+jwt' ? `${encoding}+jwt` : protocol
}

/** A peer from bench/peers that relays messages: `…-insert` stores each in a database of its own, the others store nothing. */
export function peerSubject(name: string): Subject {
  return name.endsWith('-insert') ? insertSubject(name) : { name, start: (lab) => startPeer(lab, name) }
}

/** A peer process with these environment variables beside the usual ones, and these options of Node. */
export async function startPeer(
  { settings }: Lab,
  name: string,
  environment: Readonly<Record<string, string>> = {},
  nodeArguments: readonly string[] = [],
): Promise<RunningSubject> {
  const server = await startServer(peerFile(name), { ...settings.environment, ...environment }, nodeArguments)
  return {
    name,
    pid: server.pid,
    host: '127.0.0.1',
    port: server.port,
    protocol: protocolOf(name),
    numbering: 'conversation',
    userPrefix: 'u',
    roles: [{ name: 'service', pid: server.pid, withChildren: false }],
    knowsAck: false,
    storageFaults: async () => [],
    recentLog: server.recentLog,
    stop: server.stop,
  }
}

function insertSubject(name: string): Subject {
  return {
    name,
    async start(lab) {
      const database = await lab.postgres.createDatabase()
      const peer = await startPeer(lab, name, { PEER_POSTGRES_DSN: database.dsn }).catch(async (error: unknown) => {
        await database.drop()
        throw error
      })
      return {
        ...peer,
        roles: lab.postgres.role === undefined ? peer.roles : [...peer.roles, lab.postgres.role],
        storageFaults: (conversations) => rowFaults(database.dsn, conversations),
        stop: () => peer.stop().finally(() => database.drop()),
      }
    },
  }
}

async function rowFaults(dsn: string, conversations: readonly ConversationCount[]): Promise<string[]> {
  const acked = conversations.reduce((sum, { messages }) => sum + messages, 0)
  const stored = await queryNumber(dsn, 'select count(*) from bench_rows')
  return stored === acked ? [] : [`${acked} acked, ${stored} rows stored`]
}
