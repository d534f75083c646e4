import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createConnection } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import type { Role } from './cost.ts'

const startDeadlineMs = 10_000
const pollMs = 20

export interface RunningRedis {
  /** `host:port` */
  readonly address: string
  readonly role: Role
  stop(): Promise<void>
}

/** Starts `redis-server` from the PATH on a free port, keeping nothing on disk; throws when there is none. */
export async function startRedis(): Promise<RunningRedis> {
  const port = await freePort()
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
  const child = spawn('redis-server', options, { stdio: 'ignore' })
  const ended = once(child, 'exit')
  await once(child, 'spawn').catch((error: unknown) => {
    throw new Error('redis-server is not on the PATH', { cause: error })
  })
  const endMs = performance.now() + startDeadlineMs
  while (!(await answers(port))) {
    if (child.exitCode !== null || performance.now() > endMs) throw new Error('redis-server did not start')
    await wait(pollMs)
  }
  return {
    address: `127.0.0.1:${port}`,
    role: { name: 'redis', pid: child.pid ?? 0, withChildren: false },
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
  }
}

/** Below the ports that the system hands out by itself, and those of the tests: nobody takes it before it is used. */
const ports = { first: 11_000, count: 1_000 }
let nextPort = Math.floor(Math.random() * ports.count)

export async function freePort(): Promise<number> {
  do nextPort = (nextPort + 1) % ports.count
  while (await answers(ports.first + nextPort))
  return ports.first + nextPort
}

/** Whether somebody listens on it. */
export function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1', () => resolve(true))
    socket.on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}
