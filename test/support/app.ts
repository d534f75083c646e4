// The service within the test's process, on a database of the test's own.
import { type App, startApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import type { RootLogger } from '../../src/telemetry/logger.ts'
import { silentLogger } from './databases.ts'

const logger: RootLogger = { ...silentLogger, fatal: () => undefined, flush: () => undefined }

export function startOn(dsn: string, env: Readonly<Record<string, string>> = {}): Promise<App> {
  return startApp(loadConfig({ POSTGRES_DSN: dsn, PORT: '0', DRAIN_RECONNECT_SPREAD_MS: '0', ...env }), logger)
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
