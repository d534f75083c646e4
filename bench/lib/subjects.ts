/** The servers under measurement: ours and its peers, each started afresh for every run. */
import { fileURLToPath } from 'node:url'
import type { Role } from './cost.ts'
import { startServer } from './server-process.ts'
import type { Settings } from './settings.ts'
import type { ConversationCount } from './verify.ts'

/** Something to run a load against. */
export interface Subject {
  readonly name: string
  start(settings: Settings): Promise<RunningSubject>
}

export interface RunningSubject {
  readonly name: string
  readonly host: string
  readonly port: number
  /** Begins every user id of this run, so that conversations are new even on a database that is not. */
  readonly userPrefix: string
  readonly roles: readonly Role[]
  readonly storesMessages: boolean
  /** What is not stored as it was acknowledged; empty for a relay, which promises nothing. */
  storageFaults(conversations: readonly ConversationCount[]): Promise<string[]>
  recentLog(): string
  stop(): Promise<void>
}

/** A peer from bench/peers that relays and stores nothing. */
export function relaySubject(name: string): Subject {
  return {
    name,
    async start(settings) {
      const file = fileURLToPath(new URL(`../peers/${name}.js`, import.meta.url))
      const server = await startServer(file, settings.environment)
      return {
        name,
        host: '127.0.0.1',
        port: server.port,
        userPrefix: 'u',
        roles: [{ name: 'service', pid: server.pid, withChildren: false }],
        storesMessages: false,
        storageFaults: async () => [],
        recentLog: server.recentLog,
        stop: server.stop,
      }
    },
  }
}
