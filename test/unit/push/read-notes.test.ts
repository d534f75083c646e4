import { expect, test } from 'vitest'
import { conversationBetween } from '../../../src/messages/conversation.ts'
import type { Place } from '../../../src/push/job.ts'
import { ReadNotes } from '../../../src/push/read-notes.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'

function setUp() {
  const clock = new FakeClock()
  const told: string[][] = []
  const state = { fails: 0, woken: 0, health: [] as string[], held: undefined as Promise<void> | undefined }
  const notes = new ReadNotes({
    clock,
    wake: () => {
      state.woken += 1
    },
    health: { failed: () => void state.health.push('failed'), works: () => void state.health.push('works') },
    store: {
      async read(places: readonly Place[]) {
        told.push(places.map(({ userId }) => userId))
        await state.held
        if (state.fails > 0) {
          state.fails -= 1
          throw new Error('away')
        }
      },
    },
  })
  const note = (user: string): void => notes.note(user, conversationBetween(user, 'somebody'))
  return { clock, told, state, notes, note }
}

test('what could not be told is told again, with what came meanwhile', async () => {
  const { clock, told, state, note } = setUp()
  state.fails = 1
  let release: () => void = () => undefined
  state.held = new Promise((resolve) => {
    release = resolve
  })
  note('ann')
  await clock.advance(1_000)
  note('bob')
  release()
  await settled()
  await clock.advance(2_000)
  expect([told, state.woken]).toEqual([[['ann'], ['ann', 'bob']], 1])
  expect(state.health).toEqual(['failed', 'works'])
})

test('what was cleared while it was being told is not told again', async () => {
  const { clock, told, state, notes, note } = setUp()
  state.fails = 1
  let release: () => void = () => undefined
  state.held = new Promise((resolve) => {
    release = resolve
  })
  note('ann')
  await clock.advance(1_000)
  notes.clear()
  release()
  await clock.advance(5_000)
  expect([told, clock.pending]).toEqual([[['ann']], 0])
})

test('the end tells what is left at once, and does not try it again', async () => {
  const { clock, told, state, notes, note } = setUp()
  state.fails = 1
  note('ann')
  await notes.close()
  note('late')
  expect([told, state.health, clock.pending]).toEqual([[['ann']], ['failed'], 0])
})
