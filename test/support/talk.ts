// A few days of talk, for tests that look at the page.
import { execute } from './databases.ts'
import { call, post } from './rest-client.ts'
import type { Target } from './service.ts'

const DAY = 1440
/** Who wrote, what, and how many minutes ago. */
type Line = readonly [from: string, content: string, minutesAgo: number]

const WITH_ANN: readonly Line[] = [
  ['ann.example', 'Did the load test finish?', DAY + 40],
  ['me', 'Yes. 72,000 stored messages a second on two cores, and not one lost when we pulled the plug.', DAY + 38],
  ['me', 'Notes are at https://wiki.example.com/load/2026-11', DAY + 38],
  ['ann.example', 'That is more than I hoped for 🎉', 22],
  [
    'ann.example',
    'I will show it on Thursday. Could you bring the chart with the percentiles? The one with p50, p99 and p99.9 side by side.',
    21,
  ],
  ['me', 'On it.', 19],
  ['me', 'Here is what goes on the slide:\n\np50    1.1 ms\np99    4.8 ms\np99.9 11.0 ms', 16],
  ['ann.example', 'Perfect, thank you', 12],
  ['ann.example', 'شكراً، أراك غداً', 12],
  ['ann.example', '👍', 11],
]
const OTHERS: readonly (readonly [other: string, lines: readonly Line[]])[] = [
  ['grace.example', [['grace.example', 'See you at nine', 12 * DAY]]],
  ['frank.example', [['me', 'https://example.com/notes', 9 * DAY]]],
  ['erin.example', [['me', '好的，没问题', 3 * DAY]]],
  [
    'dan.example',
    [
      ['dan.example', 'Can you send me the address?', 2 * DAY],
      ['dan.example', 'And the door code', 2 * DAY - 3],
    ],
  ],
  ['carol.example', [['carol.example', 'Is the dashboard fixed?', DAY + 200]]],
  ['bob.example', [['bob.example', 'The migration ran in 0.6 s, nobody noticed', 30]]],
  ['ann.example', WITH_ANN],
]

/** Writes the conversations of `me`, as if they had been written when they say. */
export async function seedTalk(service: Target, dsn: string, me: string): Promise<void> {
  for (const [other, lines] of OTHERS) {
    await describePerson(service, other)
    for (const [from, content, minutesAgo] of lines) {
      const [sender_id, receiver_id] = from === 'me' ? [me, other] : [other, me]
      const { body } = await post(service, { sender_id, receiver_id, content })
      await execute(
        dsn,
        `update messages set created_at = now() - interval '${minutesAgo} minutes' where id = '${body?.['id']}'`,
      )
    }
  }
}

/** `ann.example` is shown as "Ann Example". */
export async function describePerson(service: Target, id: string): Promise<void> {
  const display_name = id.replace(
    /(^|\.)(\w)/g,
    (_, dot: string, letter: string) => (dot && ' ') + letter.toUpperCase(),
  )
  await call(service, 'PUT', `/api/users/${id}?user_id=${id}`, { body: { display_name } })
}
