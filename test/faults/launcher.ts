// Runs the version of the service that a file beside it names, for the instance whose PostgreSQL is at this port.
import { existsSync, readFileSync } from 'node:fs'

const chosen = new URL(new URL(process.env['POSTGRES_DSN'] ?? '').port, import.meta.url)
await import(readFileSync(existsSync(chosen) ? chosen : new URL('initial', import.meta.url), 'utf8'))
