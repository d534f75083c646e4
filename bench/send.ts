/** How many messages per second, and at what cost, beside servers that store nothing? */

import { type Outcome, runLoad } from './lib/load.ts'
import type { LoadPlan } from './lib/load-plan.ts'
import { type Report, range, ratio, type Table } from './lib/report.ts'
import { serviceSubject } from './lib/service.ts'
import type { Settings } from './lib/settings.ts'
import { interleave, ratiosOf, spreadOf } from './lib/stats.ts'
import { relaySubject, type Subject } from './lib/subjects.ts'
import type { Encoding } from './lib/wire.ts'

const depths = [16, 1]

export async function benchSend(settings: Settings): Promise<Report> {
  const subjects = settings.subjects.map(subjectNamed)
  const encodings: Encoding[] = settings.withMsgpack ? ['json', 'msgpack'] : ['json']
  const tables: Table[] = []
  const raw: Record<string, unknown> = {}
  for (const encoding of encodings) {
    for (const inFlight of depths) {
      const title = `send: ${settings.connections} connections × ${inFlight} in flight, ${encoding}`
      const outcomes = await compare(settings, subjects, planOf(settings, encoding, inFlight))
      tables.push(tableOf(title, outcomes))
      raw[title] = Object.fromEntries(outcomes)
    }
  }
  return { name: 'send', tables, raw }
}

/** A name given twice stays two contestants: what differs between them is noise. */
function subjectNamed(name: string, index: number, names: readonly string[]): Subject {
  const subject = name === serviceSubject.name ? serviceSubject : relaySubject(name)
  return { ...subject, name: names.indexOf(name) === index ? name : `${name} (${index + 1})` }
}

function planOf(settings: Settings, encoding: Encoding, inFlight: number): LoadPlan {
  const { connections, generators, warmupMs, measureMs, ackEvery } = settings
  return {
    encoding,
    connections,
    inFlight,
    ratePerSecond: 0,
    contentBytes: 100,
    warmupMs,
    measureMs,
    generators,
    ackEvery,
  }
}

async function compare(
  settings: Settings,
  subjects: readonly Subject[],
  plan: LoadPlan,
): Promise<Map<string, Outcome[]>> {
  const outcomes = await interleave(settings.pairs, subjects, async (subject) => {
    const running = await subject.start(settings)
    try {
      // A relay knows no `ack`: there is nothing to acknowledge to.
      return await runLoad(running, { ...plan, ackEvery: running.storesMessages ? plan.ackEvery : 0 })
    } finally {
      await running.stop()
    }
  })
  return new Map([...outcomes].map(([subject, list]) => [subject.name, list]))
}

function tableOf(title: string, outcomes: ReadonlyMap<string, readonly Outcome[]>): Table {
  const [ours = []] = outcomes.values()
  const rates = (list: readonly Outcome[]) => list.map((outcome) => outcome.messagesPerSecond)
  const row = ([name, list]: readonly [string, readonly Outcome[]]): string[] => [
    name,
    range(spreadOf(rates(list))),
    ...['service', 'postgres', 'generator'].map((role) => cost(list, role)),
    spreadOf(list.map((outcome) => outcome.ack.p50Ms)).median.toFixed(2),
    spreadOf(list.map((outcome) => outcome.ack.p99Ms)).median.toFixed(2),
    Math.max(...list.map((outcome) => outcome.generatorUtilisation)).toFixed(2),
    Math.max(...list.map(({ disturbance }) => disturbance.stolenCores + disturbance.foreignCores)).toFixed(2),
    list === ours ? '–' : ratio(ratiosOf(rates(ours), rates(list))),
    list === ours ? '–' : ratio(ratiosOf(serviceCosts(list), serviceCosts(ours))),
  ]
  return { title, columns, rows: [...outcomes].map(row) }
}

const columns = [
  'server',
  'msg/s',
  'service µs/msg',
  'postgres µs/msg',
  'generator µs/msg',
  'ack p50 ms',
  'p99 ms',
  'generator busy',
  'others, cores',
  'first ÷ this, msg/s',
  'this ÷ first, service CPU',
]

function serviceCosts(list: readonly Outcome[]): number[] {
  return list.map((outcome) => outcome.cpuUsPerMessage['service'] ?? Number.NaN)
}

function cost(list: readonly Outcome[], role: string): string {
  const values = list.map((outcome) => outcome.cpuUsPerMessage[role]).filter((value) => value !== undefined)
  return values.length === 0 ? '–' : range(spreadOf(values), 1)
}
