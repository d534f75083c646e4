import { expect, test } from 'vitest'
import { Gathering } from '../../../src/lib/gathering.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const GAP_MS = 200

function setUp(expected = Number.POSITIVE_INFINITY) {
  const clock = new FakeClock()
  const batches: { readonly tasks: readonly number[]; readonly end: () => void; readonly fail: () => void }[] = []
  const state = { expected }
  const gathering = new Gathering<number, string>({
    clock,
    gapMs: GAP_MS,
    expected: () => state.expected,
    run: (tasks) =>
      new Promise((resolve, reject) => {
        const end = (): void => resolve(tasks.map((task) => `done ${task}`))
        batches.push({ tasks, end, fail: () => reject(new Error('failed')) })
      }),
  })
  return { clock, batches, gathering, state, tasks: () => batches.map(({ tasks }) => tasks) }
}

test('a task that comes alone is done at once', async () => {
  const { clock, batches, gathering, tasks } = setUp(1)
  for (const task of [1, 2]) {
    const outcome = gathering.add(task)
    batches.at(-1)?.end()
    expect(await outcome).toBe(`done ${task}`)
    await clock.advance(0)
  }
  expect(tasks()).toEqual([[1], [2]])
})

test('of many the later ones wait for each other, and for one batch at a time', async () => {
  const { clock, batches, gathering, tasks } = setUp()
  const outcomes = Promise.all([1, 2, 3].map((task) => gathering.add(task)))
  await clock.advance(GAP_MS * 2)
  expect(tasks()).toEqual([[1]])
  batches[0]?.end()
  await clock.advance(0)
  expect(tasks()).toEqual([[1], [2, 3]])
  batches[1]?.end()
  const fourth = gathering.add(4)
  await clock.advance(GAP_MS - 1)
  expect(tasks()).toHaveLength(2)
  await clock.advance(1)
  batches[2]?.end()
  expect([await outcomes, await fourth]).toEqual([['done 1', 'done 2', 'done 3'], 'done 4'])
})

test('as many as are expected wait for no more, and those who have gone are not expected', async () => {
  const { clock, batches, gathering, state, tasks } = setUp()
  const first = gathering.add(1)
  const second = gathering.add(2)
  const gone = first.then(() => {
    state.expected = 1
  })
  batches[0]?.end()
  await gone
  await clock.advance(0)
  expect(tasks()).toEqual([[1], [2]])
  batches[1]?.end()
  expect([await second, clock.pending]).toEqual(['done 2', 0])
})

test('a batch that fails fails for those in it alone', async () => {
  const { clock, batches, gathering } = setUp(1)
  const failed = gathering.add(1).catch(String)
  const good = gathering.add(2)
  batches[0]?.fail()
  await clock.advance(GAP_MS)
  batches[1]?.end()
  expect(await Promise.all([failed, good])).toEqual(['Error: failed', 'done 2'])
})

test('when it is to finish nothing waits for more, and all that was added is done', async () => {
  const { batches, gathering, tasks } = setUp()
  const outcomes = Promise.all([1, 2].map((task) => gathering.add(task)))
  batches[0]?.end()
  const finished = gathering.finish()
  await expect.poll(tasks).toEqual([[1], [2]])
  batches[1]?.end()
  await finished
  expect(await outcomes).toEqual(['done 1', 'done 2'])
  await gathering.finish()
})
