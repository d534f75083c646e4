// The dashboard and the alerts of src/deploy name metrics that there are, with values that their labels can have.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { CLOSES, ERRORS } from '../../../src/protocol/codes.ts'
import { DEPLOY, deployText } from '../../support/deploy-files.ts'
import { metricTypes } from '../../support/metric-names.ts'
import { isLeftOut } from '../../support/plays.ts'

interface Alert {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string }
}
interface Panel {
  readonly title: string
  readonly targets: readonly { readonly expr: string }[]
}

const alerts: readonly Alert[] = parse(deployText('monitoring/alerts.yml')).groups[0].rules
const { panels, templating } = JSON.parse(deployText('monitoring/dashboard.json')) as {
  panels: readonly Panel[]
  templating: { readonly list: readonly { readonly query: unknown }[] }
}
const expressions: readonly [string, string][] = [
  ...alerts.map(({ alert, expr }) => [alert, expr] as [string, string]),
  ...panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr] as [string, string])),
  ['the choice of an instance', JSON.stringify(templating.list)],
]

let types: ReadonlyMap<string, string>
beforeAll(async () => {
  types = await metricTypes()
})

/** Metrics in an expression; what stands before a brace or a bracket, or is compared, and is no function. */
function metricsIn(expression: string): string[] {
  return [...expression.matchAll(/\b(messaging|process|nodejs)_\w+/g)].map(([name]) => name)
}

describe('what is looked at', () => {
  test.each(expressions)('%s', (_title, expression) => {
    const names = metricsIn(expression)
    expect(names.length > 0 || /^(absent\()?up\{/.test(expression)).toBe(true)
    for (const name of names) {
      const isBucket = name.endsWith('_bucket')
      const type = types.get(isBucket ? name.slice(0, -'_bucket'.length) : name)
      expect([name, type]).toEqual([name, isBucket ? 'histogram' : expect.stringMatching(/^(counter|gauge)$/)])
      // A counter alone says nothing.
      if (type === 'counter') expect(expression).toMatch(new RegExp(`(rate|increase)\\(${name}`))
    }
    for (const [, outcomes = ''] of expression.matchAll(/messaging_sends_total\{outcome=~?"([^"]*)"/g)) {
      for (const outcome of outcomes.split('|')) expect(Object.keys(ERRORS)).toContain(outcome)
    }
    for (const [, codes = ''] of expression.matchAll(/messaging_refusals_total\{[^}]*code=~"([^"]*)"/g)) {
      for (const code of codes.split('|')) expect(Object.keys(ERRORS)).toContain(code)
    }
    for (const [, code] of expression.matchAll(/messaging_closes_total\{code="(\d+)"/g)) {
      expect(Object.values(CLOSES).map((close) => String(close.code))).toContain(code)
    }
  })
})

test('the metrics of the service are all shown, or alerted on, but for those that say how they are counted', () => {
  const seen = new Set(
    expressions.flatMap(([, expression]) => metricsIn(expression)).map((name) => name.replace(/_bucket$/, '')),
  )
  const own = [...types.keys()].filter((name) => name.startsWith('messaging_'))
  expect(own.filter((name) => !seen.has(name))).toEqual([
    'messaging_batch_failures_total',
    'messaging_heals_total',
    'messaging_heal_failures_total',
    'messaging_heal_seconds',
    'messaging_push_due_total',
    'messaging_push_cancelled_total',
    'messaging_push_given_up_total',
    'messaging_push_swept_total',
    'messaging_push_sweep_seconds',
    'messaging_push_collapsed_total',
    'messaging_jwks_age_seconds',
    'messaging_push_subscribers',
    'messaging_push_pending',
  ])
})

test('Prometheus reads four times within the shortest time that a rule looks at, however it finds the instances', () => {
  const windows = alerts.flatMap(({ expr }) =>
    [...expr.matchAll(/\[(\d+)m\]/g)].map(([, minutes]) => Number(minutes) * 60),
  )
  const seconds = (text: string): number => Number(/^(\d+)s$/.exec(text)?.[1])
  const { global } = parse(deployText('monitoring/prometheus.yml'))
  const [endpoint] = parse(deployText('monitoring/pod-monitor.yaml')).spec.podMetricsEndpoints
  for (const interval of [global.scrape_interval, global.evaluation_interval, endpoint.interval]) {
    expect(seconds(interval) * 4).toBeLessThanOrEqual(Math.min(...windows))
  }
})

test('every alert says what is wrong where, and whether somebody has to get up', () => {
  for (const { labels, annotations } of alerts) {
    expect(['page', 'ticket']).toContain(labels.severity)
    expect(annotations.summary).not.toBe('')
  }
})

test('every alert has a case in which it comes', () => {
  const { tests } = parse(deployText('monitoring/alerts.test.yml')) as {
    tests: readonly { alert_rule_test: readonly { alertname: string; exp_alerts: readonly unknown[] }[] }[]
  }
  const cases = tests.flatMap(({ alert_rule_test }) => alert_rule_test)
  const coming = cases.filter(({ exp_alerts }) => exp_alerts.length > 0).map(({ alertname }) => alertname)
  expect(new Set(coming)).toEqual(new Set(alerts.map(({ alert }) => alert)))
})

test.skipIf(isLeftOut(['promtool']))('promtool finds no fault, and the alerts come when they should', () => {
  const cwd = fileURLToPath(new URL('monitoring/', DEPLOY))
  const run = (...args: string[]) =>
    execFileSync('promtool', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  expect(run('check', 'rules', 'alerts.yml')).toContain('SUCCESS')
  expect(run('test', 'rules', 'alerts.test.yml')).toContain('SUCCESS')
  expect(run('check', 'config', '--syntax-only', 'prometheus.yml')).toContain('SUCCESS')
})
