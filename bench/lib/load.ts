/** Runs one load against one server from several generator processes and says what it cost. */
import { setTimeout as wait } from 'node:timers/promises'
import {
  type CostSample,
  type CpuByRole,
  cpuBetween,
  type Disturbance,
  disturbanceBetween,
  sampleCost,
} from './cost.ts'
import { GeneratorHandle } from './generator-handle.ts'
import { type LatencySummary, summaryOf } from './histogram.ts'
import type { GeneratorCommand, GeneratorPlan, GeneratorResult, LoadPlan } from './load-plan.ts'
import { type RunningSubject, wireNameOf } from './subjects.ts'

/** A run whose counts do not add up: its figures are worth nothing. */
export class VoidRun extends Error {}

/** What one run gave. */
export interface Outcome {
  readonly messagesPerSecond: number
  readonly messages: number
  /** CPU microseconds per acknowledged message, by process role; `generator` is ours. */
  readonly cpuUsPerMessage: CpuByRole
  readonly generatorUtilisation: number
  readonly disturbance: Disturbance
  readonly ack: LatencySummary
  readonly deliver: LatencySummary
  /** Open loop only: how late the generator itself was. */
  readonly lag: LatencySummary
}

/** Something else that is done to the server meanwhile: measured for as long as the load is. */
export interface Beside {
  begin(): Promise<unknown>
  end(): Promise<unknown>
}

/** Throws `VoidRun` when anything was lost, doubled, out of order, refused or not stored. */
export async function runLoad(subject: RunningSubject, plan: LoadPlan, beside?: Beside): Promise<Outcome> {
  const generators = splitPlan(subject, plan).map((part) => new GeneratorHandle(part))
  try {
    await Promise.all(generators.map((generator) => generator.connected()))
    if (plan.opensFirst) await Promise.all(generators.map((generator) => generator.opened()))
    broadcast(generators, { type: 'start' })
    await wait(plan.warmupMs)
    await beside?.begin()
    const before = sampleCost(subject.roles)
    broadcast(generators, { type: 'begin' })
    await wait(plan.measureMs)
    broadcast(generators, { type: 'end' })
    const after = sampleCost(subject.roles)
    await beside?.end()
    broadcast(generators, { type: 'finish' })
    const results = await Promise.all(generators.map((generator) => generator.finished()))
    await requireValid(subject, results)
    return summarise(results, before, after)
  } catch (error) {
    if (error instanceof VoidRun) throw error
    throw new Error(`${subject.name}: the run broke off\n${subject.recentLog()}`, { cause: error })
  } finally {
    for (const generator of generators) generator.kill()
  }
}

/**
 * Whole conversations go to one generator: sender and receiver are then read by the same clock. People who write to several
 * others are all in one.
 */
function splitPlan(subject: RunningSubject, plan: LoadPlan): GeneratorPlan[] {
  const inPairs = plan.peersEach === 1
  const people = Array.from({ length: plan.connections }, (_, person) => person)
  const generators = inPairs ? Math.max(1, Math.min(plan.generators, Math.floor(plan.connections / 2))) : 1
  return Array.from({ length: generators }, (_, index) => ({
    ...plan,
    host: subject.host,
    ports: [subject.port, subject.peerPort ?? subject.port],
    wire: wireNameOf(subject.protocol, plan.encoding),
    accounts: subject.accounts,
    numbering: subject.numbering,
    // A peer that knows no `ack` has nothing to acknowledge to.
    ackEvery: subject.knowsAck ? plan.ackEvery : 0,
    people: people.filter((person) => (person >> 1) % generators === index),
    userPrefix: subject.userPrefix,
    ratePerSecond: plan.ratePerSecond / generators,
    seed: index + 1,
  }))
}

function broadcast(generators: readonly GeneratorHandle[], command: GeneratorCommand): void {
  for (const generator of generators) generator.tell(command)
}

async function requireValid(subject: RunningSubject, results: readonly GeneratorResult[]): Promise<void> {
  const faults = results.flatMap((result) => result.faults)
  const conversations = results.flatMap((result) => result.conversations)
  if (faults.length === 0) faults.push(...(await subject.storageFaults(conversations)))
  // Over the whole run, warm-up included: the window of a smoke is shorter than some stalls of a busy machine.
  if (conversations.every(({ messages }) => messages === 0)) faults.push('nothing was acknowledged')
  if (faults.length > 0) {
    throw new VoidRun(`${subject.name}: void\n  ${faults.slice(0, 5).join('\n  ')}\n${subject.recentLog()}`)
  }
}

function summarise(results: readonly GeneratorResult[], before: CostSample, after: CostSample): Outcome {
  const sum = (read: (result: GeneratorResult) => number) => results.reduce((total, result) => total + read(result), 0)
  const messages = sum((result) => result.acked)
  const cpuUs = { ...cpuBetween(before, after), generator: sum((result) => result.cpuUs) }
  const ownCpuUs = Object.values(cpuUs).reduce((total, us) => total + us, 0)
  return {
    messages,
    messagesPerSecond: sum((result) => result.acked / result.seconds),
    cpuUsPerMessage: Object.fromEntries(Object.entries(cpuUs).map(([role, us]) => [role, us / messages])),
    generatorUtilisation: Math.max(...results.map((result) => result.utilisation)),
    disturbance: disturbanceBetween(before, after, ownCpuUs),
    ack: summaryOf(results.map((result) => result.ack)),
    deliver: summaryOf(results.map((result) => result.deliver)),
    lag: summaryOf(results.map((result) => result.lag)),
  }
}
