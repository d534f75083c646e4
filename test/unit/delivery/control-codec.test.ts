import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeControl, encodeControl } from '../../../src/delivery/control-codec.ts'

test('what one instance tells the others understand, and it ignores itself', () => {
  const text = encodeControl('one', { kind: 'gap' })
  expect(decodeControl('two', text)).toEqual({ kind: 'gap' })
  expect(decodeControl('one', text)).toBeUndefined()
})

test('what an instance of the version before tells is understood: its name, and the age of a gap', () => {
  expect(decodeControl('two', 'one 1234')).toEqual({ kind: 'gap' })
  expect(decodeControl('one', 'one 1234')).toBeUndefined()
})

test('what is told has no blank, behind which the version before expects a number', () => {
  const user = {
    type: 'user_changed',
    user_id: 'ann',
    display_name: ' Ann \\ "Mary"  Smith ',
    avatar: '/a b.png',
  } as const
  const text = encodeControl('one', { kind: 'user', user })
  expect(text.split(' ')).toEqual([text])
  expect(decodeControl('two', text)).toEqual({ kind: 'user', user })
})

describe('ignored is', () => {
  test.each([
    ['nothing', ''],
    ['a word', 'one x'],
    ['a number', '17'],
    ['null', 'null'],
    ['a list', '["gap"]'],
    ['a kind of a later version', '{"v":1,"from":"one","kind":"moved","to":"elsewhere"}'],
    ['a name that every object has', '{"v":1,"from":"one","kind":"toString"}'],
    ['a message without a kind', '{"v":1,"from":"one"}'],
    ['a later version', '{"v":2,"from":"one","kind":"gap"}'],
    ['a message without a version', '{"from":"one","kind":"gap"}'],
    ['a message without a sender', '{"v":1,"kind":"gap"}'],
  ])('%s', (_, text) => {
    expect(decodeControl('two', text)).toBeUndefined()
  })

  test('whatever else is no message', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.json(), (...texts) => {
        for (const text of texts) expect(decodeControl('two', text)).toBeUndefined()
      }),
    )
  })
})

test('further fields of a later version do not matter', () => {
  expect(decodeControl('two', '{"v":1,"from":"one","kind":"gap","why":"because"}')).toEqual({ kind: 'gap' })
})
