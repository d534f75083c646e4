import pg from 'pg'
import { connectionOptions, endClient } from './pool.ts'
import { sqlStateOf } from './statement.ts'

const ROUNDS = 3
const ANSWER_LIMIT_MS = 5_000

/**
 * Throws when connections do not keep a session of PostgreSQL each, as behind a pooler in transaction mode: what a session is
 * set to, has prepared or has locked would be lost, or another's. Two connections by turns, one of them inside a transaction,
 * show it whichever free session the pooler hands out first.
 */
export async function assertSessionsKept(config: pg.ClientConfig): Promise<void> {
  const one = await connect(config)
  try {
    const first = await backendOf(one)
    const other = await connect(config)
    try {
      const second = await backendOf(other)
      for (let round = 0; round < ROUNDS; round += 1) {
        await begin(other)
        const pids = [await backendOf(other), await backendOf(one)]
        await other.query('rollback')
        if (first === second || pids[0] !== second || pids[1] !== first) throw new Error(SHARED_SESSIONS)
      }
    } finally {
      await endClient(other)
    }
  } finally {
    await endClient(one)
  }
}

const SHARED_SESSIONS =
  'Between the service and PostgreSQL is a pooler that lets connections share sessions (transaction or statement mode). ' +
  'What a session is set to and has prepared would be lost: use session mode (PgBouncer: pool_mode = session), or connect ' +
  'to PostgreSQL itself.'

async function begin(client: pg.Client): Promise<void> {
  try {
    await client.query('begin')
  } catch (error) {
    // The server itself never refuses this; a pooler in statement mode does.
    throw sqlStateOf(error) === undefined ? error : new Error(SHARED_SESSIONS, { cause: error })
  }
}

async function connect(config: pg.ClientConfig): Promise<pg.Client> {
  const client = new pg.Client({ ...config, ...connectionOptions(), query_timeout: ANSWER_LIMIT_MS })
  // A lost connection also fails the query that is running, or the next.
  client.on('error', () => undefined)
  await client.connect()
  return client
}

async function backendOf(client: pg.Client): Promise<number | undefined> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  return rows[0]?.pid
}
