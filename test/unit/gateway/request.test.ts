import { expect, test } from 'vitest'
import { parseNoFields } from '../../../src/gateway/request.ts'
import type { RestRequest } from '../../../src/gateway/rest-exchange.ts'

function refusalOf(contentType: string): unknown {
  const request = { headers: new Map([['content-type', contentType]]), body: '{}' } as unknown as RestRequest
  try {
    return parseNoFields(request)
  } catch (error) {
    return Reflect.get(Object(error), 'code')
  }
}

test.each([
  'application/json',
  'Application/JSON; charset=UTF-8',
  'application/json;charset="utf-8"',
  'application/json ; charset = utf8 ; profile=x',
])('%s is JSON', (contentType) => {
  expect(refusalOf(contentType)).toBeUndefined()
})

test.each([
  '',
  'text/plain',
  'application/json; charset=latin1',
  'application/json; charset="utf-16"',
  'application/jsonx',
])('%j is not', (contentType) => {
  expect(refusalOf(contentType)).toBe('unsupported_media_type')
})

// A pattern with blanks at three places would take minutes over it, and everybody would wait.
test('as many blanks as a header can hold are no work', () => {
  expect(refusalOf(`application/json; charset=${' '.repeat(16_000)}"x"y`)).toBe('unsupported_media_type')
  expect(refusalOf(`application/json;${' '.repeat(16_000)}charset${' '.repeat(16_000)}=utf-8`)).toBeUndefined()
})
