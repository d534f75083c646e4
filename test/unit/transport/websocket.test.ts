// One socket of uWebSockets as our side sees it, with a native object that a test scripts.
import { beforeEach, describe, expect, test } from 'vitest'
import type { Socket, SocketListener } from '../../../src/gateway/socket.ts'
import { packed } from '../../../src/gateway/wire/msgpack.ts'
import type { WebSocket } from '../../../src/transport/uws.ts'
import { type SocketHolder, UwsSocket, WriteQueue } from '../../../src/transport/websocket.ts'
import { silentLogger } from '../../support/silent-logger.ts'

const SENT = 1
const BUFFERED = 0
const DROPPED = 2
const place = (seq: number) => ({ seq, sender_id: 'a', receiver_id: 'b' })

/** What the service does to the native object, in order; like the real one it throws when it is touched after its end. */
class ScriptedNative {
  readonly calls: string[] = []
  /** Results of the next sends; what is not scripted is sent. */
  readonly results: number[] = []
  bufferedBytes = 0
  asked = 0
  #isClosed = false
  onEnd: (code: number) => void = () => undefined

  send(frame: string | Uint8Array, isBinary: boolean): number {
    this.#touch()
    this.calls.push(typeof frame === 'string' ? frame : `bytes ${Buffer.from(frame).toString('hex')}`)
    expect(isBinary).toBe(typeof frame !== 'string')
    return this.results.shift() ?? SENT
  }
  cork(task: () => void): void {
    this.#touch()
    this.calls.push('cork')
    task()
    this.calls.push('uncork')
  }
  getBufferedAmount(): number {
    this.#touch()
    this.asked += 1
    return this.bufferedBytes
  }
  subscribe(topic: string): void {
    this.#touch()
    this.calls.push(`+${topic}`)
  }
  unsubscribe(topic: string): void {
    this.#touch()
    this.calls.push(`-${topic}`)
  }
  /** The real one calls back within the call. */
  end(code: number, reason: string): void {
    this.#touch()
    this.calls.push(`end ${code} ${reason}`)
    this.#isClosed = true
    this.onEnd(code)
  }
  closedByPeer(code: number): void {
    this.#isClosed = true
    this.onEnd(code)
  }
  #touch(): void {
    if (this.#isClosed) throw new Error('Invalid access of closed uWS.WebSocket')
  }
}

/** Notes what it is told, and may be told to do something or to fail. */
class Listener implements SocketListener {
  readonly told: string[] = []
  socket: Socket | undefined
  on: Partial<Record<'opened' | 'received' | 'emptied' | 'dropped' | 'closed', () => void>> = {}

  opened(socket: Socket): void {
    this.socket = socket
    this.#note('opened')
  }
  received(bytes: Uint8Array, isBinary: boolean): void {
    this.#note('received', ` ${Buffer.from(bytes).toString()} ${isBinary}`)
  }
  emptied(): void {
    this.#note('emptied')
  }
  dropped(message: { seq: number } | undefined): void {
    this.#note('dropped', ` ${message?.seq}`)
  }
  closed(code: number): void {
    this.#note('closed', ` ${code}`)
  }
  #note(event: keyof Listener['on'], detail = ''): void {
    this.told.push(event + detail)
    this.on[event]?.()
  }
}

let writes: WriteQueue
let errors: string[]

beforeEach(() => {
  writes = new WriteQueue()
  errors = []
})

function makeSocket(isBinary = false) {
  const native = new ScriptedNative()
  const listener = new Listener()
  const logger = { ...silentLogger, error: (_fields: object, msg: string) => void errors.push(msg) }
  const socket = new UwsSocket(listener, isBinary, writes, logger)
  native.onEnd = (code) => socket.closed(code)
  const open = () => socket.opened(native as unknown as WebSocket<SocketHolder>)
  return { native, listener, socket, open }
}

function openSocket(isBinary = false) {
  const made = makeSocket(isBinary)
  made.open()
  made.listener.told.length = 0
  return made
}

/** Until what was put off to the end of this turn has happened. */
const turn = (): Promise<void> => Promise.resolve()
const bytes = (text: string): ArrayBuffer => new Uint8Array(Buffer.from(text)).buffer

describe('what was sent', () => {
  test('cannot be dropped any more while little of it waits', async () => {
    const { native, socket } = openSocket()
    expect(socket.keepsAll).toBe(true)
    socket.send('a'.repeat(1024 * 1024))
    expect(socket.keepsAll).toBe(true)
    socket.send('b')
    expect(socket.keepsAll).toBe(false)
    await turn()
    expect(socket.keepsAll).toBe(true)
    native.results.push(BUFFERED)
    native.bufferedBytes = 1
    socket.send('c')
    await turn()
    expect(socket.keepsAll).toBe(false)
    native.bufferedBytes = 0
    socket.drained()
    expect(socket.keepsAll).toBe(true)
  })
})

describe('before it is open and after it is closed', () => {
  test('nothing is written, and nothing fails', async () => {
    const { native, socket, open } = makeSocket()
    const useAll = (): void => {
      socket.send('late')
      socket.offer('late')
      socket.subscribe('topic')
      socket.unsubscribe('topic')
      socket.close('restart')
      socket.flush()
      socket.drained()
      expect(socket.bufferedBytes).toBe(0)
    }
    useAll()
    open()
    native.closedByPeer(1001)
    useAll()
    await turn()
    expect(native.calls).toEqual([])
  })

  test('frames of the turn in which it closes are forgotten', async () => {
    const { native, listener, socket } = openSocket()
    socket.send('a', place(1))
    native.closedByPeer(1006)
    await turn()
    expect(native.calls).toEqual([])
    expect(listener.told).toEqual(['closed 1006'])
  })
})

describe('frames', () => {
  test('of one turn leave at its end, in order, in one cork', async () => {
    const { native, socket } = openSocket()
    socket.send('a')
    socket.offer('b')
    socket.send('c', place(1))
    expect(native.calls).toEqual([])
    await turn()
    expect(native.calls).toEqual(['cork', 'a', 'b', 'c', 'uncork'])
  })

  test('that are alone need no cork', async () => {
    const { native, socket } = openSocket()
    socket.send('a')
    await turn()
    socket.send('b')
    await turn()
    expect(native.calls).toEqual(['a', 'b'])
  })

  test('of a binary socket are bytes', async () => {
    const { native, socket } = openSocket(true)
    socket.send(packed('hi'))
    await turn()
    expect(native.calls).toEqual(['bytes a26869'])
  })

  test('leave before the close that follows them', () => {
    const { native, listener, socket } = openSocket()
    socket.send('last reply')
    socket.close('restart')
    expect(native.calls).toEqual(['last reply', 'end 1012 restart'])
    expect(listener.told.at(-1)).toBe('closed 1012')
  })

  test('come to every socket of the turn', async () => {
    const sockets = [openSocket(), openSocket(), openSocket()]
    for (const { socket } of sockets) socket.send('to all')
    await turn()
    expect(sockets.map(({ native }) => native.calls)).toEqual([['to all'], ['to all'], ['to all']])
  })

  test('that a listener sends while others are written leave in a write of their own', async () => {
    const { native, listener, socket } = openSocket()
    listener.on.emptied = () => {
      delete listener.on.emptied
      socket.send('next')
    }
    socket.send('first')
    await turn()
    await turn()
    expect(native.calls).toEqual(['first', 'next'])
  })
})

describe('what cannot be written', () => {
  test('is told, and no later message of the turn overtakes it', async () => {
    const { native, listener, socket } = openSocket()
    native.results.push(DROPPED, SENT)
    socket.send('large', place(1))
    socket.send('small', place(2))
    native.bufferedBytes = 1
    await turn()
    expect(native.calls).toEqual(['cork', 'large', 'uncork'])
    expect(listener.told).toEqual(['dropped 1', 'dropped 2'])
  })

  test('does not hold up replies, which have no place in an order', async () => {
    const { native, listener, socket } = openSocket()
    native.results.push(DROPPED, SENT)
    socket.send('message', place(1))
    socket.send('reply')
    await turn()
    expect(native.calls).toEqual(['cork', 'message', 'reply', 'uncork'])
    expect(listener.told).toEqual(['dropped 1', 'emptied'])
  })

  test('is told of a reply as well', async () => {
    const { native, listener, socket } = openSocket()
    native.results.push(DROPPED)
    socket.send('reply')
    await turn()
    expect(listener.told).toEqual(['dropped undefined', 'emptied'])
  })

  test('is forgotten when it may be lost, and holds nothing up', async () => {
    const { native, listener, socket } = openSocket()
    native.results.push(DROPPED, SENT)
    socket.offer('typing')
    socket.send('message', place(1))
    await turn()
    expect(native.calls).toEqual(['cork', 'typing', 'message', 'uncork'])
    expect(listener.told).toEqual(['emptied'])
  })

  test('holds up nothing of the next turn', async () => {
    const { native, listener, socket } = openSocket()
    native.results.push(DROPPED, SENT)
    socket.send('one', place(1))
    await turn()
    socket.send('two', place(2))
    await turn()
    expect(native.calls).toEqual(['one', 'two'])
    expect(listener.told).toEqual(['dropped 1', 'emptied', 'emptied'])
  })

  test('may make the listener close the socket, which is not touched any more then', async () => {
    const { native, listener, socket } = openSocket()
    native.results.push(DROPPED)
    listener.on.dropped = () => socket.close('slow_consumer')
    socket.send('one', place(1))
    socket.send('two')
    await turn()
    expect(native.calls).toEqual(['cork', 'one', 'end 4413 slow consumer', 'uncork'])
    expect(listener.told).toEqual(['dropped 1', 'closed 4413'])
    expect(errors).toEqual([])
  })
})

describe('how much waits', () => {
  test('is not asked of the native object while nothing does', async () => {
    const { native, socket } = openSocket()
    socket.send('a')
    await turn()
    const { asked } = native
    expect(socket.bufferedBytes).toBe(0)
    expect(native.asked).toBe(asked)
  })

  test('is known from the first frame that is not taken, within the turn as well', async () => {
    const { native, listener, socket } = openSocket()
    native.results.push(BUFFERED)
    native.bufferedBytes = 500
    listener.on.dropped = () => expect(socket.bufferedBytes).toBe(500)
    native.results.push(DROPPED)
    socket.send('a')
    socket.send('b')
    await turn()
    expect(socket.bufferedBytes).toBe(500)
    expect(listener.told).toEqual(['dropped undefined'])
    native.bufferedBytes = 200
    socket.drained()
    expect(socket.bufferedBytes).toBe(200)
    expect(listener.told).toEqual(['dropped undefined'])
    native.bufferedBytes = 0
    socket.drained()
    expect(socket.bufferedBytes).toBe(0)
    expect(listener.told).toEqual(['dropped undefined', 'emptied'])
  })

  test('counts although a corked send reported success', async () => {
    const { native, listener, socket } = openSocket()
    native.bufferedBytes = 300
    socket.send('a')
    socket.send('b')
    await turn()
    expect(socket.bufferedBytes).toBe(300)
    expect(listener.told).toEqual([])
  })
})

test('a queue of writes forgets the sockets that it has written', async () => {
  const flushed: string[] = []
  const named = (name: string) => ({ flush: () => void flushed.push(name) }) as unknown as UwsSocket
  writes.add(named('a'))
  await turn()
  writes.add(named('b'))
  await turn()
  expect(flushed).toEqual(['a', 'b'])
})

test('what is received is handed on, with its kind', () => {
  const { listener, socket } = openSocket()
  socket.received(bytes('{}'), false)
  socket.received(bytes('x'), true)
  expect(listener.told).toEqual(['received {} false', 'received x true'])
})

test('topics are followed and left', () => {
  const { native, socket } = openSocket()
  socket.subscribe('presence:a')
  socket.unsubscribe('presence:a')
  expect(native.calls).toEqual(['+presence:a', '-presence:a'])
})

describe('a bug of its listener', () => {
  const bug = (): never => {
    throw new TypeError('a bug')
  }

  test.each(['received', 'emptied', 'dropped'] as const)('in %s closes that connection alone', async (event) => {
    const broken = openSocket()
    const healthy = openSocket()
    broken.listener.on[event] = bug
    broken.native.results.push(DROPPED)
    if (event === 'received') broken.socket.received(bytes('x'), false)
    broken.socket.send('one', place(1))
    healthy.socket.send('two')
    await turn()
    expect(healthy.native.calls).toEqual(['two'])
    expect(broken.native.calls.at(-1)).toBe('end 1011 internal error')
    expect(broken.listener.told.at(-1)).toBe('closed 1011')
    expect(errors).toContain('a connection failed')
  })

  test('when it opens closes the connection', () => {
    const { native, listener, open } = makeSocket()
    listener.on.opened = bug
    open()
    expect(native.calls).toEqual(['end 1011 internal error'])
  })

  test('that drains a socket closes it', () => {
    const { native, listener, socket } = openSocket()
    listener.on.emptied = bug
    socket.drained()
    expect(native.calls).toEqual(['end 1011 internal error'])
  })

  test('when it closes is told, and nothing else', () => {
    const { native, listener } = openSocket()
    listener.on.closed = bug
    native.closedByPeer(1001)
    expect(errors).toEqual(['a connection failed'])
    expect(native.calls).toEqual([])
  })

  test('that comes again and again ends all the same', async () => {
    const { native, listener, socket } = openSocket()
    listener.on.emptied = () => {
      socket.send('again')
      bug()
    }
    socket.send('once')
    await turn()
    expect(native.calls.at(-1)).toBe('end 1011 internal error')
    expect(native.calls.length).toBeLessThan(5)
  })
})
