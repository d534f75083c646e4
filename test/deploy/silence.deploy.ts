// A socket on which nobody says anything for longer than proxies wait for an answer; `npm run deploy` alone takes the time.
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import { startOn } from '../support/app.ts'
import { makeCertificate } from '../support/certificate.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { PROXY_SAMPLES, SampleProxy } from '../support/sample-proxy.ts'
import { SocketClient } from '../support/socket-client.ts'

/** The longest of the other time limits in the samples, and of the programs' defaults, is 60 s. */
const SILENCE_MS = 75_000
let database: TestDatabase
let app: App
let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'messaging-test-'))
  database = await createDatabase()
  // So that not even a ping is sent meanwhile.
  app = await startOn(database.dsn, { IDLE_TIMEOUT_SECONDS: '960', TRUSTED_PROXIES: '127.0.0.1' })
})
afterAll(async () => {
  await app?.stop()
  await database?.drop()
  await rm(directory, { recursive: true, force: true })
})

test(`a socket that is silent for ${SILENCE_MS / 1000} s stays open behind each proxy`, async () => {
  const certificate = makeCertificate(directory)
  const instance = `127.0.0.1:${app.port}`
  const proxies = await Promise.all(
    PROXY_SAMPLES.map((sample) => SampleProxy.start(sample, certificate, [instance, instance])),
  )
  try {
    const ca = readFileSync(certificate.cert, 'utf8')
    const sockets = await Promise.all(
      proxies.map((proxy, number) => SocketClient.connect(proxy, `silent-${number}`, { scheme: 'wss', ca })),
    )
    const isOver = new Promise<string>((resolve) => setTimeout(() => resolve('still open'), SILENCE_MS))
    const ends = await Promise.all(
      sockets.map((socket) => Promise.race([isOver, socket.closed.then(({ code }) => `closed with ${code}`)])),
    )
    expect(ends).toEqual(sockets.map(() => 'still open'))
    await Promise.all(sockets.map((socket) => socket.settled()))
  } finally {
    await Promise.all(proxies.map((proxy) => proxy.stop()))
  }
})
