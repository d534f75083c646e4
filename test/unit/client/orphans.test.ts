import { expect, test } from 'vitest'
import { Orphans } from '../../../src/client/orphans.ts'
import type { Entry } from '../../../src/client/outbox.ts'

type Options = ConstructorParameters<typeof Orphans>[0]

/** A tab that knows one message of a tab that is gone. */
function tabNamed(tab: string, state: Entry['state'] = 'queued') {
  const said: Entry[] = []
  let kept = { id: 'one', owner: 'gone', state } as Entry
  const put = (entry: Entry): void => {
    kept = entry
  }
  const take = (entry: Entry): void => {
    put(entry)
    said.push(entry)
  }
  const queues = { entries: () => [kept], find: () => kept, put }
  const tabs = { isGone: async () => true, whenGone: () => new Promise(() => undefined) }
  const core = { session: { tabs } }
  const orphans = new Orphans({ core, tab, queues, take, taken: () => undefined } as unknown as Options)
  return { tab, orphans, said, owner: () => kept.owner, state: () => kept.state }
}

test.each([
  ['a', 'b'],
  ['b', 'a'],
])('of two tabs that take over one message at once, %s and %s, the first by name goes on with it', async (...names) => {
  const [one, other] = names.map((name) => tabNamed(name))
  if (!one || !other) throw new Error('two tabs')
  await Promise.all([one.orphans.adopt(), other.orphans.adopt()])
  for (const entry of one.said) other.orphans.heard(entry)
  for (const entry of other.said) one.orphans.heard(entry)
  expect([one.owner(), other.owner()]).toEqual(['a', 'a'])
})

test('what a person tries again in another tab is of that tab', async () => {
  const tab = tabNamed('a', 'failed')
  await tab.orphans.adopt()
  tab.orphans.heard({ id: 'one', owner: 'b', state: 'queued' } as Entry)
  expect(tab.owner()).toBe('b')
})

test.each([
  ['saving', 'queued'],
  ['held', 'held'],
] as const)('what a tab has left %s is %s: it blocks nothing behind it', async (left, state) => {
  const tab = tabNamed('a', left)
  await tab.orphans.adopt()
  expect([tab.owner(), tab.state()]).toEqual(['a', state])
})
