import { createServer, type Server } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { OutboundHttp, type Reach } from '../../../src/outbound/outbound-http.ts'

/** Takes connections, and never says a word. */
let silent: Server
let port: number
let connections = 0
const http = new OutboundHttp()
const impatient = new OutboundHttp({ timeLimitMs: 500 })

beforeAll(async () => {
  silent = createServer(() => {
    connections += 1
  })
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const address = silent.address()
  port = typeof address === 'object' && address ? address.port : 0
})
afterAll(() => {
  http.close()
  impatient.close()
  silent.close()
})

const ask = (url: string, reach: Reach, by = http): Promise<string> =>
  by.send({ method: 'GET', url: new URL(url), reach, headers: {} }).then(
    ({ status }) => `answered ${status}`,
    (error: Error) => error.message,
  )

test('an address inside is never connected to, by whatever name, unless an operator named it', async () => {
  for (const host of ['127.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '2130706433', 'localhost']) {
    expect(await ask(`https://${host}:${port}/`, 'public')).toBe('the address is not one of the public internet')
  }
  expect(connections).toBe(0)
  expect(await ask(`http://127.0.0.1:${port}/`, 'anywhere')).toBe('only https is spoken')
  expect(connections).toBe(0)
})

test('an answer that does not come is waited for only so long', async () => {
  expect(await ask(`https://127.0.0.1:${port}/`, 'anywhere', impatient)).toBe('no answer in time')
  expect(connections).toBe(1)
})
