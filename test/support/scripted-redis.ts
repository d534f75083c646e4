import { EventEmitter } from 'node:events'
import { ReplyError } from 'ioredis'
import type { Redis } from '../../src/redis/client.ts'

export interface Call {
  readonly command: string
  readonly args: readonly string[]
}

interface DueAnswer extends Call {
  resolve(): void
  reject(error: Error): void
}

/** What becomes of a command: it is done and answered, refused for a reason, or done and not answered yet. */
type Fate = 'done' | 'held' | { readonly refused: string }

/** A Redis client without a Redis: does what it is told at once and in order, and answers as the test says. */
export class ScriptedRedis extends EventEmitter {
  status: 'ready' | 'close' = 'ready'
  readonly channels = new Set<string>()
  readonly calls: Call[] = []
  /** Times that the owner gave the connection up. */
  disconnects = 0
  /** Decides what becomes of each command from now on. */
  fate: (call: Call) => Fate = () => 'done'
  readonly #due: DueAnswer[] = []

  /** As the code under test takes it. */
  get client(): Redis {
    return this as unknown as Redis
  }

  subscribe(...channels: string[]): Promise<void> {
    return this.#call('subscribe', channels, () => {
      for (const channel of channels) this.channels.add(channel)
    })
  }

  unsubscribe(...channels: string[]): Promise<void> {
    return this.#call('unsubscribe', channels, () => {
      for (const channel of channels) this.channels.delete(channel)
    })
  }

  ping(): Promise<void> {
    return this.#call('ping', [])
  }

  publish(channel: string, payload: string): Promise<void> {
    return this.#call('publish', [channel, payload])
  }

  defineCommand(name: string): void {
    Object.assign(this, { [name]: (...args: string[]) => this.#call(name, args) })
  }

  disconnect(): void {
    this.disconnects += 1
  }

  /** Arguments of every call of this command so far. */
  argsOf(command: string): (readonly string[])[] {
    return this.calls.filter((call) => call.command === command).map(({ args }) => args)
  }

  /** Gives the earliest answer that is due. */
  answer(): void {
    this.#due.shift()?.resolve()
  }

  /** The connection is cut: what waited for an answer gets none. */
  lose(): void {
    this.status = 'close'
    this.channels.clear()
    for (const { reject } of this.#due.splice(0)) reject(new Error('Connection is closed.'))
    this.emit('close')
  }

  connectAgain(): void {
    this.status = 'ready'
    this.emit('ready')
  }

  #call(command: string, args: readonly string[], effect?: () => void): Promise<void> {
    const call = { command, args }
    this.calls.push(call)
    const fate = this.fate(call)
    if (typeof fate === 'object') return Promise.reject(new ReplyError(fate.refused))
    effect?.()
    if (fate === 'done') return Promise.resolve()
    return new Promise((resolve, reject) => this.#due.push({ ...call, resolve, reject }))
  }
}
