// `npm run browser`: a conversation as people use it: where it opens, what stays in sight, what was not sent, what is typed and copied.
import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { Keys } from '../support/keyboard.ts'
import { PageLink } from '../support/page-link.ts'
import { type PageSite, PHONE, usePageSite, whoIs } from '../support/page-site.ts'
import { get } from '../support/rest-client.ts'

const site = usePageSite()
const say: PageSite['say'] = (...message) => site().say(...message)

/** A person whose messages with "refused" in them the server does not take. */
async function personIn(name: string, path: string, options = {}): Promise<Page> {
  const context = await site().person(options)
  await PageLink.of(context, (text) => text.includes('refused'))
  await context.addInitScript(whoIs(name))
  const page = await site().open(context, path)
  await page.locator('textarea').waitFor()
  return page
}

async function write(page: Page, text: string): Promise<void> {
  await page.locator('textarea').fill(text)
  await page.locator('textarea').press('Enter')
}

/** Resolves when a row is there and within what is seen of the list. */
async function untilSeen(page: Page, row: string): Promise<void> {
  await expect
    .poll(() =>
      page.evaluate(`(() => {
        const row = document.querySelector('${row}')?.getBoundingClientRect()
        const log = document.querySelector('.log').getBoundingClientRect()
        return row !== undefined && row.top >= log.top - 1 && row.bottom <= log.bottom + 1
      })()`),
    )
    .toBe(true)
}

async function summary(me: string, other: string): Promise<Record<string, unknown> | undefined> {
  const { body } = await get(site().service, `/api/conversations?user_id=${me}`)
  const all = (body?.['conversations'] ?? []) as Record<string, unknown>[]
  return all.find((one) => one['with'] === other)
}

test('what was not sent stands in the way of nothing that comes', async () => {
  const page = await personIn('ann', '/c/bob')
  await write(page, 'refused')
  await page.locator('[data-state=failed]').waitFor()
  for (let n = 1; n <= 30; n += 1) await say('bob', 'ann', `message ${n}`)
  await page.locator('[data-seq="30"]').waitFor()
  await untilSeen(page, '[data-state=failed]')
  await page.locator('textarea').press('x')
  await expect.poll(async () => (await summary('ann', 'bob'))?.['unread']).toBe(0)
  await page.locator('.log').hover()
  await page.mouse.wheel(0, -2000)
  await page.locator('.jump').waitFor()
  for (let n = 31; n <= 33; n += 1) await say('bob', 'ann', `message ${n}`)
  await page.getByRole('button', { name: '3 new messages' }).press('Enter')
  await page.locator('.jump').waitFor({ state: 'detached' })
  await untilSeen(page, '[data-seq="33"]')
  await expect.poll(() => page.evaluate(`document.activeElement?.dataset.state`)).toBe('failed')
  await untilSeen(page, '[data-message]:focus')
})

test('a conversation opens at the first of many messages that are new, and what is not in sight stays new', async () => {
  for (let n = 1; n <= 120; n += 1) await say('bea', 'amy', `message ${n}`)
  const page = await personIn('amy', '/c/bea')
  await page.locator('.new').waitFor()
  await untilSeen(page, '[data-seq="1"]')
  await untilSeen(page, '.new')
  await expect.poll(async () => (await summary('amy', 'bea'))?.['unread']).toBeLessThan(115)
  expect((await summary('amy', 'bea'))?.['unread']).toBeGreaterThan(50)
  // From there on one reads down, and what comes meanwhile is counted.
  await say('bea', 'amy', 'one more')
  await page.getByRole('button', { name: '1 new message' }).click()
  await untilSeen(page, '[data-seq="121"]')
  await expect.poll(async () => (await summary('amy', 'bea'))?.['unread']).toBe(0)
})

test('a conversation of which all is new opens at its first message, and shows the way down', async () => {
  for (let n = 1; n <= 40; n += 1) await say('frank', 'gina', `message ${n}`)
  const page = await personIn('gina', '/c/frank')
  await page.locator('.new').waitFor()
  await untilSeen(page, '[data-seq="1"]')
  await page.locator('.jump').waitFor()
  await say('frank', 'gina', 'message 41')
  await page.getByRole('button', { name: '1 new message' }).press('Enter')
  await untilSeen(page, '[data-seq="41"]')
  await page.locator('.jump').waitFor({ state: 'detached' })
})

test('what is written while one reads far above brings one down to it', async () => {
  for (let n = 1; n <= 60; n += 1) await say('ben', 'aya', `message ${n}`)
  const page = await personIn('aya', '/c/ben')
  await write(page, 'refused')
  await page.locator('[data-state=failed]').waitFor()
  for (const text of ['one', 'two', 'three']) {
    await page.locator('.log').hover()
    await page.mouse.wheel(0, -1500)
    await page.locator('.jump').waitFor()
    await write(page, text)
    await page.locator('.jump').waitFor({ state: 'detached' })
    await untilSeen(page, '[data-state=failed]')
    await page.locator('[data-message]', { hasText: new RegExp(`^${text}`) }).waitFor()
  }
})

test('Control and Enter sends, Enter of a touch keyboard does not, and each conversation has a draft of its own', async () => {
  const page = await personIn('abe', '/c/bob')
  for (const [index, key] of ['Control', 'Meta'].entries()) {
    await page.locator('textarea').fill(`sent with ${key}`)
    await page.locator('textarea').press(`${key}+Enter`)
    await page.locator('[data-state=sent]').nth(index).waitFor()
  }
  await page.locator('textarea').fill('for bob alone')
  await say('cyd', 'abe', 'hello')
  await page.locator('[data-with=cyd]').click()
  await page.getByRole('heading', { level: 1, name: 'cyd' }).waitFor()
  expect(await page.locator('textarea').inputValue()).toBe('')
  await page.locator('textarea').fill('for cyd')
  await page.locator('[data-with=bob]').click()
  await page.getByRole('heading', { level: 1, name: 'bob' }).waitFor()
  expect(await page.locator('textarea').inputValue()).toBe('for bob alone')
  const phone = await personIn('abi', '/c/bob', PHONE)
  await phone.locator('textarea').fill('first line')
  await phone.locator('textarea').press('Enter')
  await phone.keyboard.type('second line')
  expect(await phone.locator('textarea').inputValue()).toBe('first line\nsecond line')
  expect(await phone.locator('textarea').getAttribute('enterkeyhint')).toBe('enter')
  expect(await phone.locator('[data-message]').count()).toBe(0)
})

test('what was not sent is there after a reload, and by the keys is tried again, edited and deleted', async () => {
  const page = await personIn('art', '/c/bob')
  for (const text of ['refused one', 'refused two', 'refused three']) {
    await write(page, text)
    await page.locator('[data-state=failed]', { hasText: text }).waitFor()
  }
  await page.reload()
  await page.locator('[data-state=failed]').nth(2).waitFor()
  const keys = new Keys(page)
  // The newest of them comes into the empty field by the arrow.
  await page.locator('textarea').focus()
  await page.keyboard.press('ArrowUp')
  await expect.poll(() => page.locator('textarea').inputValue()).toBe('refused three')
  await page.locator('[data-state=failed]').nth(2).waitFor({ state: 'detached' })
  await page.locator('textarea').fill('')
  await keys.to('Delete', 'Shift+Tab')
  await page.keyboard.press('Enter')
  await page.locator('[data-state=failed]').nth(1).waitFor({ state: 'detached' })
  expect((await keys.focused()).name).toBe('Message to bob')
  await keys.to('Edit', 'Shift+Tab')
  await page.keyboard.press('Enter')
  await expect.poll(() => page.locator('textarea').inputValue()).toBe('refused one')
  expect((await keys.focused()).name).toBe('Message to bob')
  await page.keyboard.press('Enter')
  await page.locator('[data-state=failed]').waitFor()
  await keys.to('Retry', 'Shift+Tab')
  await page.keyboard.press('Enter')
  await page.locator('[data-state=failed]').waitFor()
  expect((await keys.focused()).name).toBe('Message to bob')
})

test('that somebody types is shown, and no longer when they have stopped', async () => {
  const [typing, seeing] = [await personIn('ada', '/c/bix'), await personIn('bix', '/c/ada')]
  // What is typed before both are connected nobody is told of.
  for (const page of [typing, seeing]) await page.locator('.head .online').waitFor()
  await typing.locator('textarea').pressSequentially('hmm')
  await seeing.locator('.head .typing').waitFor()
  await seeing.locator('.head .typing').waitFor({ state: 'detached' })
  expect(await typing.locator('textarea').inputValue()).toBe('hmm')
})

test('several messages are copied with who wrote them and when, one of them as it is', async () => {
  const page = await personIn('ali', '/c/bob')
  await write(page, 'from me')
  await page.locator('[data-state=sent]').waitFor()
  await say('bob', 'ali', 'from bob')
  await page.locator('[data-seq="2"]').waitFor()
  const copied = (from: string, to: string): Promise<string[]> =>
    page.evaluate(`(() => {
      const text = (row) => document.querySelector(row + ' .text').firstChild
      getSelection().setBaseAndExtent(text('${from}'), 0, text('${to}'), 4)
      const event = new ClipboardEvent('copy', { clipboardData: new DataTransfer(), bubbles: true, cancelable: true })
      document.querySelector('.log').dispatchEvent(event)
      return event.clipboardData.getData('text/plain').split('\\n')
    })()`)
  const when = /^\[\d+ \w+ \d{4} at \d\d:\d\d:\d\d\] /
  const lines = await copied('[data-seq="1"]', '[data-seq="2"]')
  expect(lines.map((line) => line.replace(when, ''))).toEqual(['You: from me', 'bob: from bob'])
  expect(lines.every((line) => when.test(line))).toBe(true)
  // Left to the browser.
  expect(await copied('[data-seq="2"]', '[data-seq="2"]')).toEqual([''])
})

test('no browser complained', () => {
  expect(site().faults).toEqual([])
})
