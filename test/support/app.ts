// The service within the test's process, on a database of the test's own.
import { randomUUID } from 'node:crypto'
import { type App, type StartOptions, startApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import type { RootLogger } from '../../src/telemetry/logger.ts'
import { silentLogger } from './silent-logger.ts'

/** Of a service whose log no test reads. */
export const quietLogger: RootLogger = {
  ...silentLogger,
  fatal: () => undefined,
  droppedLines: () => 0,
  settled: () => Promise.resolve(),
  flushNow: () => undefined,
}

export function startOn(
  dsn: string,
  env: Readonly<Record<string, string>> = {},
  options: StartOptions = {},
): Promise<App> {
  return startApp(
    loadConfig({ POSTGRES_DSN: dsn, PORT: '0', DRAIN_RECONNECT_SPREAD_MS: '0', ...env }),
    quietLogger,
    randomUUID(),
    options,
  )
}

/** Fills one conversation by SQL, as if `from` had written it all and `to` had acknowledged nothing. */
export function backlogOf(from: string, to: string, count: number, contentLength = 100): string {
  const fromIsLow = from < to
  const [lo, hi] = fromIsLow ? [from, to] : [to, from]
  const own = fromIsLow ? 'lo' : 'hi'
  return `
    with c as (
      insert into conversations (user_lo, user_hi, last_seq, last_message_at, updated_at, ${own}_delivered_seq, ${own}_read_seq)
      values ('${lo}', '${hi}', ${count}, now(), now(), ${count}, ${count}) returning conversation_id)
    insert into messages (conversation_id, seq, id, sender_id, content, created_at)
    select conversation_id, seq, gen_random_uuid(), '${from}', rpad(seq::text, ${contentLength}, '.'), now()
    from c, generate_series(1, ${count}) seq`
}
