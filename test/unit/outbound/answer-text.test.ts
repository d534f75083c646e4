import { expect, test } from 'vitest'
import { readAnswer } from '../../../src/outbound/answer-text.ts'

const MAX = 100
const answer = (...lines: string[]): string => lines.join('\r\n')

/** [status, whether the connection goes on]; also when it comes byte by byte. */
function read(text: string): [number, boolean] | undefined {
  const whole = readAnswer(text, MAX)
  for (let length = 0; length < text.length; length += 1) {
    const part = readAnswer(text.slice(0, length), MAX)
    if (part) expect([part.status, part.isReusable && whole?.isReusable === true]).toEqual([whole?.status, false])
  }
  return whole && [whole.status, whole.isReusable]
}

test('an answer that ends for sure leaves the connection to the next request', () => {
  expect(read(answer('HTTP/1.1 201 Created', 'Content-Length: 0', '', ''))).toEqual([201, true])
  expect(read(answer('HTTP/1.1 201', 'content-length:3', '', 'abc'))).toEqual([201, true])
  expect(read(answer('HTTP/1.1 204 No Content', '', ''))).toEqual([204, true])
  expect(read(answer('HTTP/1.1 201 C', 'Transfer-Encoding: chunked', '', '0', '', ''))).toEqual([201, true])
  expect(
    read(answer('HTTP/1.1 400 No', 'Transfer-Encoding: Chunked', '', '3', 'abc', 'A', '0123456789', '0', '', '')),
  ).toEqual([400, true])
})

test('of anything else the head is believed, and the connection ends', () => {
  const length = (text: string, body = ''): string => answer('HTTP/1.1 200 OK', text, '', body)
  expect(read(length('Content-Length: 0', 'HTTP/1.1 200 OK'))).toEqual([200, false])
  expect(read(length('Content-Length: 101'))).toEqual([200, false])
  expect(read(length('Content-Length: 1, 1', 'a'))).toEqual([200, false])
  expect(read(length('Content-Length: 1\r\nContent-Length: 2', 'ab'))).toEqual([200, false])
  expect(read(length('Content-Length: -1'))).toEqual([200, false])
  expect(read(length('Content-Length: 0\r\nConnection: close'))).toEqual([200, false])
  expect(read(length('Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n'))).toEqual([200, false])
  expect(read(length('Transfer-Encoding: gzip, chunked'))).toEqual([200, false])
  expect(read(length('Transfer-Encoding: chunked', '1;x=y\r\na\r\n0\r\n\r\n'))).toEqual([200, false])
  expect(read(length('Transfer-Encoding: chunked', '1\r\nabc'))).toEqual([200, false])
  expect(read(length('Transfer-Encoding: chunked', `64\r\n${'a'.repeat(100)}`))).toEqual([200, false])
  expect(read(length('X: y'))).toEqual([200, false])
  expect(read(answer('HTTP/1.0 200 OK', 'Content-Length: 0', '', ''))).toEqual([200, false])
})

test('what announces an answer is not one', () => {
  const early = answer('HTTP/1.1 103 Early Hints', 'Link: </a>', '', '')
  expect(read(early)).toBeUndefined()
  expect(read(early + answer('HTTP/1.1 410 Gone', 'Content-Length: 0', '', ''))).toEqual([410, true])
})

test('what is no answer throws', () => {
  for (const text of [
    'SSH-2.0\r\n\r\n',
    'HTTP/2 200\r\n\r\n',
    'HTTP/1.1 99 x\r\n\r\n',
    'HTTP/1.1 101 x\r\n\r\n',
    'HTTP/1.1 2000\r\n\r\n',
  ]) {
    expect(() => readAnswer(text, MAX)).toThrow('no answer of HTTP/1.1')
  }
  expect(() => readAnswer('a'.repeat(20_000), MAX)).toThrow('too long')
  expect(() => readAnswer('HTTP/1.1 103 x\r\n\r\n'.repeat(1_000), MAX)).toThrow('too long')
})

test('when to ask again is told', () => {
  expect(readAnswer(answer('HTTP/1.1 429 No', 'RETRY-AFTER: 7', '', ''), MAX)?.retryAfter).toBe('7')
})
