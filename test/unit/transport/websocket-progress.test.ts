// How the transport tells that a slow reader reads, with a native socket whose answers are given.
import { describe, expect, test } from 'vitest'
import type { MessagePlace } from '../../../src/delivery/recipient.ts'
import type { SocketListener } from '../../../src/gateway/socket.ts'
import type { WebSocket } from '../../../src/transport/uws.ts'
import { type SocketHolder, UwsSocket, WriteQueue } from '../../../src/transport/websocket.ts'
import { settled } from '../../support/fake-clock.ts'
import { silentLogger } from '../../support/silent-logger.ts'

const SENT = 1
const BUFFERED = 0
const DROPPED = 2

const place = (seq: number): MessagePlace => ({ seq, sender_id: 'ann', receiver_id: 'bob' })

/** A socket over a native one whose answers to `send` are given, in order; `SENT` when there is none left. */
function openSocket(...results: number[]) {
  /** What happened to the native socket and to the listener, in order. */
  const happened: string[] = []
  const state = { bufferedBytes: 0 }
  const native = {
    send: (frame: string) => {
      const result = results.shift() ?? SENT
      if (result === BUFFERED) state.bufferedBytes += frame.length
      happened.push(`send ${frame}`)
      return result
    },
    cork: (task: () => void) => task(),
    getBufferedAmount: () => state.bufferedBytes,
    end: (code: number, reason: string) => void happened.push(`end ${code} ${reason}`),
  }
  const listener: SocketListener = {
    opened: () => undefined,
    received: () => undefined,
    emptied: () => void happened.push('emptied'),
    dropped: (message) => void happened.push(`dropped ${message?.seq ?? 'a reply'}`),
    closed: () => undefined,
  }
  const socket = new UwsSocket(listener, false, new WriteQueue(), silentLogger)
  socket.opened(native as unknown as WebSocket<SocketHolder>)
  return { socket, state, happened, listener }
}

test('a close gives the reason that it is told', () => {
  const { socket, happened } = openSocket()
  socket.close('unauthorized', 'token_expired')
  expect(happened).toEqual(['end 4401 token_expired'])
})

describe('what waits for a slow reader', () => {
  test('is told as waiting, and reported when all of it has left', async () => {
    const { socket, state, happened } = openSocket(BUFFERED)
    socket.send('12345')
    await settled()
    expect([socket.bufferedBytes, socket.progress]).toEqual([5, 0])
    expect(happened).toEqual(['send 12345'])
    state.bufferedBytes = 2
    socket.drained()
    expect([socket.bufferedBytes, socket.progress]).toEqual([2, 1])
    expect(happened).toEqual(['send 12345'])
    state.bufferedBytes = 0
    socket.drained()
    expect([socket.bufferedBytes, socket.progress]).toEqual([0, 2])
    expect(happened).toEqual(['send 12345', 'emptied'])
  })

  test('makes progress when a write takes some of it along, though more waits than before', async () => {
    const { socket, state } = openSocket(BUFFERED, BUFFERED, BUFFERED)
    socket.send('12345')
    await settled()
    socket.send('ü234567890')
    await settled()
    // The native socket of this test counts characters: to it, one byte has left.
    expect([socket.bufferedBytes, socket.progress]).toEqual([15, 1])
    state.bufferedBytes = 20
    socket.send('1234567890')
    await settled()
    expect([socket.bufferedBytes, socket.progress]).toEqual([30, 1])
  })

  test('makes none when a frame is dropped', async () => {
    const { socket } = openSocket(BUFFERED, DROPPED)
    socket.send('12345')
    await settled()
    socket.send('1234567890', place(1))
    await settled()
    expect(socket.progress).toBe(0)
  })
})
