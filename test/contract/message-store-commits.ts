import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { conversationBetween } from '../../src/messages/conversation.ts'
import type { CommitPath, MessageStore, PendingMessage } from '../../src/messages/store.ts'
import type { Message } from '../../src/protocol/message.ts'
import { pendingMessage, strangers } from '../support/builders.ts'

export const PATHS: readonly CommitPath[] = ['fast', 'careful']

/** The whole conversation. */
export async function everything(store: MessageStore, one: string, other: string): Promise<readonly Message[]> {
  const { messages, hasMore } = await store.page(conversationBetween(one, other), { after: 0, limit: 10_000 })
  expect(hasMore).toBe(false)
  return messages
}

const ODD_TEXTS = {
  'a tab, a newline and a carriage return': 'a\tb\nc\rd\r\ne',
  'the end mark of COPY': '\\.',
  'the end mark of COPY on a line of its own': 'a\n\\.\nb',
  'the null mark of COPY': '\\N',
  'backslashes and their escapes': '\\ \\\\ \\t \\n \\x41 \\101 c:\\new\\table',
  'quotes, braces and commas': '\'"{}(),;`$1 %s',
  'control characters': '\u0001\b\f\v\u001b\u007f\u0085\u2028\u2029\ufeff',
  'characters of four bytes': '😀👩‍👩‍👧‍👦𝕏\u{10ffff}',
  'combining and right-to-left characters': 'é é العربية 日本語',
  noncharacters: '\ufffe\uffff\ufffd',
  'spaces at both ends': '  x  ',
  'the largest text': 'ü'.repeat(8192),
}

/** No U+0000 and no lone surrogate: what the protocol lets through. */
const anyText = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', minLength: 1 }),
      fc.constantFrom('\t', '\n', '\r\n', '\\', '\\.', '\\N', '😀', "'", '\u0001'),
    ),
    { minLength: 1, maxLength: 6 },
  )
  .map((parts) => parts.join('').replaceAll('\0', ''))
  .filter((text) => text.length > 0 && text.isWellFormed())

export function describeCommits(store: () => MessageStore): void {
  describe.each(PATHS)('committing on the %s path', (path) => {
    const commit = (messages: readonly PendingMessage[]) => store().commit(messages, [], path)

    test('numbers a conversation 1, 2, 3 … in the order of the batches', async () => {
      const [a, b] = strangers()
      const texts = ['one', 'two', 'three', 'four', 'five']
      const messages = texts.map((text, index) => pendingMessage(...order(index % 2 === 0, a, b), text))
      await commit(messages.slice(0, 2))
      await commit(messages.slice(2, 3))
      await commit(messages.slice(3))
      const stored = await everything(store(), a, b)
      expect(stored.map(({ seq, content }) => [seq, content])).toEqual(texts.map((text, index) => [index + 1, text]))
      expect(stored.map(({ sender_id }) => sender_id)).toEqual([a, b, a, b, a])
      expect(stored.map(({ receiver_id }) => receiver_id)).toEqual([b, a, b, a, b])
    })

    test('tells each message the seq and time under which it is stored', async () => {
      const [a, b] = strangers()
      const messages = [pendingMessage(a, b), pendingMessage(b, a), pendingMessage(a, b)]
      await commit(messages)
      const stored = await everything(store(), a, b)
      expect(messages.map(({ fate }) => fate)).toEqual(['stored', 'stored', 'stored'])
      expect(messages.map(({ id, seq, created_at }) => ({ id, seq, created_at }))).toEqual(
        stored.map(({ id, seq, created_at }) => ({ id, seq, created_at })),
      )
    })

    test('gives times that never decrease with seq, to the millisecond', async () => {
      const [a, b] = strangers()
      for (let batch = 0; batch < 5; batch += 1) await commit([pendingMessage(a, b), pendingMessage(b, a)])
      const times = (await everything(store(), a, b)).map(({ created_at }) => created_at)
      expect(times).toEqual([...times].sort())
      for (const time of times) expect(time).toBe(new Date(time).toISOString())
      expect(Math.abs(Date.parse(times[0] ?? '') - Date.now())).toBeLessThan(60_000)
    })

    test('puts every message of a batch into its own conversation', async () => {
      const pairs = Array.from({ length: 150 }, strangers)
      const turns = [0, 1, 2].flatMap((turn) =>
        pairs.map(([a, b], index) => pendingMessage(...order((turn + index) % 2 === 0, a, b), `${turn} of ${a}`)),
      )
      await commit(turns)
      for (const [a, b] of pairs) {
        const stored = await everything(store(), b, a)
        expect(stored.map(({ seq, content }) => `${seq} ${content}`)).toEqual([
          `1 0 of ${a}`,
          `2 1 of ${a}`,
          `3 2 of ${a}`,
        ])
      }
    })

    test.each(Object.entries(ODD_TEXTS))('keeps %s as they were written', async (_name, text) => {
      const [a, b] = strangers()
      await commit([pendingMessage(a, b, text), pendingMessage(a, b, 'after')])
      expect((await everything(store(), a, b)).map(({ content }) => content)).toEqual([text, 'after'])
    })

    test('keeps any text as it was written', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(anyText, { minLength: 1, maxLength: 20 }), async (texts) => {
          const [a, b] = strangers()
          await commit(texts.map((text) => pendingMessage(a, b, text)))
          expect((await everything(store(), a, b)).map(({ content }) => content)).toEqual(texts)
        }),
        { numRuns: 40 },
      )
    })

    test.each([
      ['NULL', 'null'],
      ['a.b+c@d-e', 'a_b'],
      ['A', 'a'],
      ['0', '00'],
      ['x'.repeat(128), `${'x'.repeat(127)}y`],
    ])('knows %s and %s apart', async (one, other) => {
      const [stranger] = strangers()
      await commit([
        pendingMessage(one, stranger, 'from one'),
        pendingMessage(other, stranger, 'from other'),
        pendingMessage(one, other, 'between'),
      ])
      const last = async (a: string, b: string) => (await everything(store(), a, b)).at(-1)?.content
      expect(await last(one, stranger)).toBe('from one')
      expect(await last(stranger, other)).toBe('from other')
      expect(await last(other, one)).toBe('between')
    })

    test('takes messages to oneself', async () => {
      const [a] = strangers()
      await commit([pendingMessage(a, a, 'note'), pendingMessage(a, a, 'another')])
      const stored = await everything(store(), a, a)
      expect(stored.map(({ seq, content, receiver_id }) => [seq, content, receiver_id])).toEqual([
        [1, 'note', a],
        [2, 'another', a],
      ])
    })

    test('takes a batch of nothing', async () => {
      expect(await commit([])).toEqual([])
    })
  })
}

export function order(forward: boolean, a: string, b: string): [string, string] {
  return forward ? [a, b] : [b, a]
}
