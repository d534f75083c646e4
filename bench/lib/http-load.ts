/** Closed loop of HTTP requests by autocannon, in this process: it does nothing else meanwhile. */
import { type AutocannonResult, autocannon, type HttpClient, type HttpRequest } from './autocannon.ts'
import { cpuBetween, sampleCost } from './cost.ts'
import { VoidRun } from './load.ts'
import type { RunningSubject } from './subjects.ts'

export interface HttpPlan {
  readonly connections: number
  readonly warmupMs: number
  readonly measureMs: number
  /** Shared out: each connection goes through its part again and again, at least one. */
  readonly requests: readonly HttpRequest[]
}

export interface HttpRun {
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** CPU microseconds per request. */
  readonly serviceUs: number
  readonly postgresUs: number
  readonly generatorUs: number
  /** Requests, and answers of 2xx, warm-up included: what was on its way when a clock stopped has no answer. */
  readonly sent: number
  readonly succeeded: number
}

/** A single answer of a database on a busy machine may take half of it. */
const shortestMs = 300
/** autocannon ends a run at its next tick. */
const tickMs = 50

/** Throws `VoidRun` on any answer that is not a 2xx, and when a connection breaks. */
export async function runHttp(subject: RunningSubject, plan: HttpPlan): Promise<HttpRun> {
  const { connections, requests } = plan
  let clients = 0
  const setupClient = (client: HttpClient): void => {
    // Only a share: autocannon builds the requests of every client anew, and that in the time it measures.
    const index = clients++ % connections
    const start = Math.floor((index * requests.length) / connections)
    const end = Math.floor(((index + 1) * requests.length) / connections)
    client.setRequests(requests.slice(start, Math.max(end, start + 1)))
  }
  const options = { url: `http://${subject.host}:${subject.port}`, connections, setupClient, sampleInt: tickMs }
  const warmup = await autocannon({ ...options, duration: Math.max(shortestMs, plan.warmupMs) / 1000 })
  const before = sampleCost(subject.roles)
  const generatorBefore = process.cpuUsage()
  const result = await autocannon({ ...options, duration: Math.max(shortestMs, plan.measureMs) / 1000 })
  const generator = process.cpuUsage(generatorBefore)
  const cpuUs = cpuBetween(before, sampleCost(subject.roles))
  for (const part of [warmup, result]) requireSuccess(subject, part)
  const answers = result['2xx']
  // Warm-up included: the window of a smoke is shorter than some stalls of a busy machine.
  if (answers + warmup['2xx'] === 0)
    throw new VoidRun(`${subject.name}: void, no answer in time\n${subject.recentLog()}`)
  return {
    requestsPerSecond: answers / result.duration,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
    serviceUs: (cpuUs['service'] ?? Number.NaN) / answers,
    postgresUs: (cpuUs['postgres'] ?? Number.NaN) / answers,
    generatorUs: (generator.user + generator.system) / answers,
    sent: result.requests.sent + warmup.requests.sent,
    succeeded: answers + warmup['2xx'],
  }
}

function requireSuccess(subject: RunningSubject, result: AutocannonResult): void {
  const { non2xx, errors, timeouts, resets } = result
  if (non2xx + errors + timeouts + resets === 0) return
  const counts = `${result['2xx']} answers, ${non2xx} not 2xx, ${errors} errors, ${timeouts} timeouts, ${resets} resets`
  throw new VoidRun(`${subject.name}: void, ${counts}\n${subject.recentLog()}`)
}
