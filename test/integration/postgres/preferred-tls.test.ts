// A DSN without sslmode: behind its address another server comes to stand, which has no TLS where the one before had it.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { parseDsn, resolveDsn } from '../../../src/postgres/dsn.ts'
import { createPool, endPool } from '../../../src/postgres/pool.ts'
import { WriterConnection } from '../../../src/postgres/writer-connection.ts'
import { createDatabase, silentHealth } from '../../support/databases.ts'

const SSL_REQUEST_BYTES = 8

const PASSWORD = 'secret'
/** AuthenticationCleartextPassword of PostgreSQL's protocol. */
const ASK_PASSWORD = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3])

/**
 * Says of itself whether it has TLS, which it has not, lets in who knows the password, and passes everything else on to the database.
 */
async function server(dsn: string) {
  const { host = '', port = 0 } = parseDsn(dsn)
  let asked = 0
  let tellAskedAgain: () => void = () => undefined
  const askedAgain = new Promise<void>((resolve) => {
    tellAskedAgain = resolve
  })
  const state = { offersTls: true, askedAgain }
  const listener = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', (first) => {
      if (first.byteLength === SSL_REQUEST_BYTES) {
        asked += 1
        // By `resolveDsn`, by the client that fails, and after it.
        if (asked === 3) tellAskedAgain()
        return socket.end(state.offersTls ? 'S' : 'N')
      }
      socket.write(ASK_PASSWORD)
      socket.once('data', (answer) => {
        if (answer.toString('latin1', 5) === `${PASSWORD}\0`) return pass(first)
        return socket.destroy()
      })
    })
    const pass = (first: Buffer): void => {
      const database = connect(host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port })
      database.on('error', () => socket.destroy())
      database.write(first)
      socket.pipe(database).pipe(socket)
    }
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  onTestFinished(() => void listener.close())
  const url = new URL(dsn)
  const address = `127.0.0.1:${(listener.address() as AddressInfo).port}`
  return {
    state,
    dsn: `postgres://${url.username || parseDsn(dsn).user}:${PASSWORD}@${address}/${parseDsn(dsn).database}`,
  }
}

test('what one server offers is asked of the next, once connecting has failed', async () => {
  const database = await createDatabase()
  onTestFinished(() => database.drop())
  const { state, dsn } = await server(database.dsn)
  const config = await resolveDsn(dsn)
  expect(config.ssl).toEqual({ rejectUnauthorized: false })
  const pool = createPool(config, { health: silentHealth, max: 1 })
  onTestFinished(() => endPool(pool))
  state.offersTls = false
  await expect(pool.query('select 1')).rejects.toThrow('does not support SSL')
  await state.askedAgain
  // Its answer may be on its way.
  await config.preferredTls?.askAgain()
  expect((await pool.query('select 1')).rowCount).toBe(1)
  const writer = new WriterConnection({ config, health: silentHealth, stepDeadlineMs: 5_000, commitDeadlineMs: 5_000 })
  onTestFinished(() => writer.close())
  const session = await writer.session()
  expect(await session.query({ name: 'one', text: 'select 1' })).toEqual([['1']])
})
