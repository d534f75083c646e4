import { expect, test } from 'vitest'
import { Slots, type Slotted } from '../../../src/push/slots.ts'
import { FakeClock } from '../../support/fake-clock.ts'

function setUp() {
  const clock = new FakeClock(0)
  const due: [number, readonly string[]][] = []
  const slots = new Slots<Slotted & { readonly name: string }>(clock, (items) =>
    due.push([clock.now(), items.map(({ name }) => name)]),
  )
  const item = (name: string) => ({ name, slot: 0, isGone: false })
  return { clock, due, slots, item }
}

test('what is put elsewhere is due there alone, and once', async () => {
  const { clock, due, slots, item } = setUp()
  const [one, two] = [item('one'), item('two')]
  slots.put(one, 250)
  slots.put(two, 250)
  slots.put(one, 1_000)
  slots.put(one, 1_000)
  await clock.advance(5_000)
  expect(due).toEqual([
    [250, ['two']],
    [1_000, ['one']],
  ])
  expect(clock.pending).toBe(0)
})

test('what is put earlier comes earlier, and never before its time', async () => {
  const { clock, due, slots, item } = setUp()
  const one = item('one')
  slots.put(one, 60_000)
  slots.put(one, 251)
  await clock.advance(100_000)
  expect(due).toEqual([[500, ['one']]])
})

test('what is gone is not due, and nothing is after the end', async () => {
  const { clock, due, slots, item } = setUp()
  slots.put({ ...item('gone'), isGone: true }, 250)
  await clock.advance(1_000)
  slots.put(item('late'), 2_000)
  slots.close()
  await clock.advance(5_000)
  expect(due).toEqual([])
})
