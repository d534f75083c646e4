// The samples of src/deploy as data.
import { readFileSync } from 'node:fs'
import { parse, parseAllDocuments } from 'yaml'
import { document } from './readme.ts'

export const DEPLOY = new URL('../../src/deploy/', import.meta.url)

export function deployText(path: string): string {
  return readFileSync(new URL(path, DEPLOY), 'utf8')
}

export interface ComposeService {
  readonly environment?: Readonly<Record<string, string>>
  readonly networks: Readonly<Record<string, { readonly ipv4_address?: string }>> | readonly string[]
  readonly stop_grace_period?: string
  readonly command?: readonly string[]
  readonly volumes?: readonly string[]
  readonly ulimits?: { readonly nofile: number }
  readonly healthcheck?: { readonly test: readonly string[] }
}

export interface ComposeFile {
  readonly services: Readonly<Record<'one' | 'two' | 'proxy' | 'postgres' | 'redis', ComposeService>>
  readonly networks: { readonly inside: { readonly ipam: { readonly config: readonly [{ readonly subnet: string }] } } }
}

/** With `${NAME:?…}` filled in from `given`. */
export function composeFile(given: Readonly<Record<string, string>> = {}): ComposeFile {
  const text = deployText('compose/compose.yaml').replace(/\$\{(\w+):\?[^}]*\}/g, (_all, name) => given[name] ?? name)
  return parse(text, { merge: true })
}

export type Manifest = Readonly<Record<string, unknown>> & { readonly apiVersion: string; readonly kind: string }

export const MANIFEST_FILES = ['settings', 'deployment', 'service', 'autoscaler', 'network-policy'] as const

/** Every Kubernetes object of the samples. */
export function manifests(): Manifest[] {
  return MANIFEST_FILES.flatMap((name) =>
    parseAllDocuments(deployText(`kubernetes/${name}.yaml`)).map((one) => one.toJS() as Manifest),
  )
}

/** The variables of a file of `NAME=value` lines. */
export function environmentIn(path: string): Readonly<Record<string, string>> {
  const lines = deployText(path).split('\n')
  return Object.fromEntries(lines.filter((line) => /^\w+=/.test(line)).map((line) => line.split(/=(.*)/s, 2)))
}

/** The settings of a unit of systemd; of one that is written twice the last. */
export function unitSettings(): Readonly<Record<string, string>> {
  return environmentIn('systemd/messaging.service')
}

/** The arguments with which `npm start` starts Node. */
export function startArguments(): string {
  return /exec node (.*)$/.exec(JSON.parse(document('package.json')).scripts.start)?.[1] ?? ''
}
