import { expect, test } from 'vitest'
import { DuplicateWatch } from '../../../src/messages/duplicate-watch.ts'
import { CommitError } from '../../../src/messages/store.ts'
import { queuedSend } from '../../support/builders.ts'

test('a batch in which a conversation takes no messages is tried more carefully each time, and not for ever', () => {
  const watch = new DuplicateWatch()
  const [closed, open] = [queuedSend({ to: 'bob' }), queuedSend({ to: 'cid' })]
  const sends = [closed, open]
  const { key } = closed.conversation
  const failure = new CommitError('unnumbered', undefined, new Set([key]))
  const paths = []
  for (let again = true; again && paths.length < 9; again = watch.failed(failure, watch.pathFor(sends), sends))
    paths.push(watch.pathFor(sends))
  expect(paths).toEqual(['fast', new Set([key]), 'careful'])
})

test('where nothing is sent to what has no row any more, all is looked up at once', () => {
  const watch = new DuplicateWatch()
  const sends = [queuedSend({ to: 'cid' })]
  expect(watch.failed(new CommitError('unnumbered', undefined, new Set(['ann bob'])), 'fast', sends)).toBe(true)
  expect(watch.pathFor(sends)).toBe('careful')
})
