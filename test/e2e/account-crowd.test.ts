// Many behind one address who are all right, at the limits that a service has when nobody sets them.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import { ask, PASSWORD, someNetwork } from '../support/accounts.ts'
import { startOn } from '../support/app.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import type { Answer } from '../support/rest-client.ts'

const ENV = { AUTH: 'accounts', REGISTRATION: 'open', TRUSTED_PROXIES: '127.0.0.1' }
/** One network has so many places. */
const PLACES = 26
const NETWORK = someNetwork()

let database: TestDatabase
let app: App
/** Knows of nobody who signs in at the first. */
let other: App

beforeAll(async () => {
  database = await createDatabase()
  const start = (): Promise<App> => startOn(database.dsn, ENV, { tell: () => undefined })
  app = await start()
  other = await start()
})
afterAll(async () => {
  await Promise.all([app?.stop(), other?.stop()])
  await database?.drop()
})

const people = Array.from({ length: 150 }, () => `p${randomUUID().slice(0, 12)}`)
const enter = (path: string) => (username: string) =>
  ask(app, path, { username, password: PASSWORD, client: 'token' }, NETWORK)
const register = enter('/api/auth/register')
const told = ({ status, text }: Answer): string =>
  /Too many people (of this network )?are signing in/.test(text) ? 'no place' : `${status}`
const toldTo = (answers: readonly Answer[]): Set<string> => new Set(answers.map(told))

test('nobody of a crowd is refused for guesses: there may be no place, and that is all', async () => {
  const crowd = await Promise.all(people.map(register))
  expect(toldTo(crowd)).toEqual(new Set(['201', 'no place']))
  const out = people.filter((_, at) => crowd[at]?.status !== 201)
  for (let at = 0; at < out.length; at += PLACES) {
    const next = await Promise.all(out.slice(at, at + PLACES).map(register))
    expect(toldTo(next)).toEqual(new Set(['201']))
    crowd.push(...next)
  }
  let tokens = crowd.flatMap(({ body }) => (body?.['refresh_token'] as string | undefined) ?? [])
  expect(tokens).toHaveLength(150)
  for (const target of [app, other]) {
    const renew = (refresh_token: string) =>
      ask(target, '/api/auth/refresh', { refresh_token, attempt: randomUUID() }, NETWORK)
    const renewed: Answer[] = []
    // Where all are known none waits for the others: no more at once than a busy database answers in time.
    const atOnce = target === app ? PLACES : tokens.length
    for (let at = 0; at < tokens.length; at += atOnce) {
      renewed.push(...(await Promise.all(tokens.slice(at, at + atOnce).map(renew))))
    }
    expect(toldTo(renewed)).toEqual(new Set(['200']))
    tokens = renewed.map(({ body }) => String(body?.['refresh_token']))
  }
  expect(toldTo(await Promise.all(people.map(enter('/api/auth/login'))))).toEqual(new Set(['200', 'no place']))
})
