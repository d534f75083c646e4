// A name that leads to the public internet when it is looked at, and inside when it is connected to.
import { createServer, type Server } from 'node:net'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { OutboundHttp } from '../../../src/outbound/outbound-http.ts'

/** Each answer holds one address or several. */
const names = { answers: [] as string[], lookUps: 0 }
const ADDRESSES = '../../../src/outbound/addresses.ts'

const reached: string[] = []
let server: Server
let port: number
let http: OutboundHttp

beforeAll(async () => {
  // Other files of this process have loaded the real ones.
  vi.resetModules()
  // One address of this machine plays the public internet, and another one what is inside.
  vi.doMock(ADDRESSES, () => ({ isPublicAddress: (address: string) => address === '127.0.0.1' }))
  vi.doMock('node:dns', async (original) => ({
    ...(await original<typeof import('node:dns')>()),
    lookup: (_: string, __: object, callback: (error: null, all: { address: string; family: number }[]) => void) => {
      names.lookUps += 1
      const addresses = (names.answers.shift() ?? '127.0.0.2').split(' ')
      callback(
        null,
        addresses.map((address) => ({ address, family: 4 })),
      )
    },
  }))
  const outbound = await import('../../../src/outbound/outbound-http.ts')
  http = new outbound.OutboundHttp()
  server = createServer((socket) => {
    reached.push(socket.localAddress ?? '')
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
  const address = server.address()
  port = typeof address === 'object' && address ? address.port : 0
})
afterAll(() => {
  vi.doUnmock(ADDRESSES)
  vi.doUnmock('node:dns')
  vi.resetModules()
  http.close()
  server.close()
})

const ask = (): Promise<unknown> =>
  http.send({ method: 'GET', url: new URL(`https://rebinding.dev:${port}/`), reach: 'public', headers: {} })

test('the address that was looked at is the one that is connected to', async () => {
  names.answers = ['127.0.0.1', '127.0.0.2']
  await expect(ask()).rejects.toThrow()
  expect([names.lookUps, reached]).toEqual([1, ['127.0.0.1']])
  await expect(ask()).rejects.toThrow('the address is not one of the public internet')
  expect([names.lookUps, reached]).toEqual([2, ['127.0.0.1']])
})

test.each(['127.0.0.1 127.0.0.2', '127.0.0.2 127.0.0.1'])(
  'a name with the addresses %s is not connected to',
  async (answer) => {
    const [lookUps, before] = [names.lookUps, [...reached]]
    names.answers = [answer]
    await expect(ask()).rejects.toThrow('the address is not one of the public internet')
    expect([names.lookUps, reached]).toEqual([lookUps + 1, before])
  },
)
