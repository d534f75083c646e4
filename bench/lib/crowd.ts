import type { CrowdCommand, CrowdPlan, CrowdResult, PublishPlan } from './crowd-plan.ts'
import { CrowdSocket, type CrowdSocketEvents, type CrowdSocketPlan } from './crowd-socket.ts'
import { endpointOf } from './socket.ts'
import type { FrameKind } from './wire.ts'
import { wireOf } from './wires.ts'

const deadlineMs = 30_000

/** The sockets of one crowd process. Commands come one at a time. */
export class Crowd {
  readonly #sockets: CrowdSocket[] = []
  #endpoint: Pick<CrowdPlan, 'host' | 'port' | 'wire'> | undefined
  #arrivals = 0
  #fault: string | undefined
  #onChange: (() => void) | undefined
  #publisher: { readonly plan: PublishPlan; readonly socket: CrowdSocket; sent: number } | undefined
  #window = { arrivals: 0, atMs: 0, cpu: process.cpuUsage() }
  #result: CrowdResult = { readyMs: new Float64Array(), arrivals: 0, seconds: 0, cpuUs: 0 }

  /** Rejects when a socket failed, or when what was awaited did not come in time. */
  async obey(command: CrowdCommand): Promise<CrowdResult> {
    switch (command.type) {
      case 'open':
        return this.#open(command.plan)
      case 'say':
        for (const socket of this.#sockets) socket.say(command.payload)
        return this.#result
      case 'await':
        await this.#until(() => this.#arrivals >= command.arrivals, `${command.arrivals} arrivals`)
        return { ...this.#result, arrivals: this.#arrivals }
      case 'publish':
        await this.#publish(command.plan)
        return this.#result
      case 'begin':
        this.#window = { arrivals: this.#arrivals, atMs: performance.now(), cpu: process.cpuUsage() }
        return this.#result
      case 'end':
        this.#result = this.#measured()
        return this.#result
      case 'finish':
        return this.#finish()
      case 'check':
        this.#check(command.messagesEach, command.inOrder)
        return this.#result
      case 'expect-end':
        for (const socket of this.#sockets) socket.expectEnd()
        return this.#result
      case 'close':
        for (const socket of this.#sockets) socket.close()
        this.#sockets.length = 0
        this.#arrivals = 0
        return this.#result
      default: {
        const never: never = command
        throw new Error(`unknown command ${JSON.stringify(never)}`)
      }
    }
  }

  async #open(plan: CrowdPlan): Promise<CrowdResult> {
    // Before the clock runs: the tokens were made by an issuer on another machine.
    const people = Array.from({ length: plan.count }, (_, index) => {
      return personOf(plan, plan.sameUser ? plan.userPrefix : `${plan.userPrefix}${plan.first + index * plan.step}`)
    })
    const startMs = performance.now()
    const readyMs: number[] = []
    this.#endpoint = plan
    const arrived = (kind: FrameKind): void => {
      if (kind === plan.readyAt) readyMs.push(performance.now() - startMs)
      else this.#count(kind)
      if (kind === plan.readyAt) this.#onChange?.()
    }
    for (const [opened, person] of people.entries()) {
      if (opened - readyMs.length >= plan.atOnce) {
        await this.#until(() => opened - readyMs.length < plan.atOnce, `${plan.readyAt} of socket ${readyMs.length}`)
      }
      this.#sockets.push(new CrowdSocket(person, this.#events(arrived)))
    }
    await this.#until(() => readyMs.length >= plan.count, `${plan.readyAt} of ${plan.count} sockets`)
    return { ...this.#result, readyMs: Float64Array.from(readyMs) }
  }

  async #publish(plan: PublishPlan): Promise<void> {
    if (this.#endpoint === undefined) throw new Error('nobody is there to publish to')
    let welcomed = false
    const arrived = (kind: FrameKind): void => {
      if (kind === 'welcome') welcomed = true
      this.#onChange?.()
    }
    const socket = new CrowdSocket(personOf(this.#endpoint, plan.userId), this.#events(arrived))
    await this.#until(() => welcomed, 'welcome of the publisher')
    this.#arrivals = 0
    this.#publisher = { plan, socket, sent: 0 }
    this.#refill()
  }

  #refill(): void {
    const publisher = this.#publisher
    if (publisher === undefined) return
    const done = Math.floor(this.#arrivals / this.#sockets.length)
    const missing = publisher.plan.window - (publisher.sent - done)
    if (missing <= 0) return
    publisher.socket.say(publisher.plan.payload, missing)
    publisher.sent += missing
  }

  /** Waits for what is still on its way and checks that everybody got everything. */
  async #finish(): Promise<CrowdResult> {
    const publisher = this.#publisher
    if (publisher === undefined) throw new Error('nothing was published')
    this.#publisher = undefined
    const expected = publisher.sent * this.#sockets.length
    await this.#until(() => this.#arrivals >= expected, `${expected} deliveries`)
    this.#check(publisher.sent, publisher.plan.hasSeq)
    publisher.socket.close()
    return this.#result
  }

  #check(messagesEach: number, hasSeq: boolean): void {
    for (const { messages } of this.#sockets) {
      if (messages.count !== messagesEach) throw new Error(`${messages.count} of ${messagesEach} messages came`)
      if (!hasSeq) continue
      if (messages.fault !== undefined) throw new Error(messages.fault)
      if (messages.last !== messagesEach) throw new Error(`seqs are not 1 … ${messagesEach}`)
    }
  }

  #measured(): CrowdResult {
    const cpu = process.cpuUsage(this.#window.cpu)
    return {
      readyMs: new Float64Array(),
      arrivals: this.#arrivals - this.#window.arrivals,
      seconds: (performance.now() - this.#window.atMs) / 1000,
      cpuUs: cpu.user + cpu.system,
    }
  }

  #events(arrived: (kind: FrameKind) => void): CrowdSocketEvents {
    return {
      arrived,
      failed: (reason) => {
        this.#fault ??= reason
        this.#onChange?.()
      },
    }
  }

  #count(kind: FrameKind): void {
    if (kind !== 'message' && kind !== 'presence') return
    this.#arrivals++
    this.#refill()
    this.#onChange?.()
  }

  async #until(isReached: () => boolean, what: string): Promise<void> {
    if (this.#fault !== undefined) throw new Error(this.#fault)
    if (isReached()) return
    await new Promise<void>((resolve, reject) => {
      const deadline = setTimeout(() => reject(new Error(`${what} did not come in time`)), deadlineMs)
      this.#onChange = () => {
        if (this.#fault === undefined && !isReached()) return
        clearTimeout(deadline)
        if (this.#fault === undefined) resolve()
        else reject(new Error(this.#fault))
      }
    }).finally(() => {
      this.#onChange = undefined
    })
  }
}

function personOf(at: Pick<CrowdPlan, 'host' | 'port' | 'wire'>, userId: string): CrowdSocketPlan {
  return { endpoint: endpointOf({ ...at, wire: wireOf(at.wire), userId }), wire: at.wire, userId }
}
