// `npm run browser`: the page under a finger, where the focus goes when things vanish, and what is left where the system chooses the colours.
import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { PageLink } from '../support/page-link.ts'
import { type PageSite, PHONE, usePageSite, whoIs } from '../support/page-site.ts'

const site = usePageSite()
const say: PageSite['say'] = (...message) => site().say(...message)

/** What is to be pressed and smaller than a finger, apart from links in a text. */
function tooSmall(page: Page): Promise<string[]> {
  return page.evaluate(`[...document.querySelectorAll('button, a[href], input, select, textarea, summary')].flatMap((element) => {
    const area = element.matches('[type=radio], [type=checkbox]') ? element.closest('label') : element
    const { width, height } = area.getBoundingClientRect()
    const isInText = element.closest('.text') !== null
    if (width === 0 || isInText || (width >= 43.5 && height >= 43.5)) return []
    return [(element.getAttribute('aria-label') ?? element.textContent) + ': ' + Math.round(width) + ' × ' + Math.round(height)]
  })`)
}

const focused = (page: Page): Promise<string | undefined> =>
  page.evaluate(`document.activeElement.dataset.with ?? document.activeElement.getAttribute('aria-label')`)

test('on a phone everything is as large as a finger, and going back leads to where one was', async () => {
  for (let n = 1; n <= 30; n += 1) await say(`friend-${n}`, 'ann', 'hello')
  const context = await site().person(PHONE)
  await context.addInitScript(whoIs('ann'))
  const page = await site().open(context)
  await page.locator('[data-with=friend-30]').waitFor()
  expect(await tooSmall(page)).toEqual([])
  // Far down in the list, which is not there while a conversation is open.
  await page.locator('[data-with=friend-30]').focus()
  await page.keyboard.press('End')
  await page.locator('[data-with=friend-1]').press('Enter')
  await page.locator('.head .back').click()
  await expect.poll(() => focused(page)).toBe('friend-1')
  await page.locator('.me .icon').press('Enter')
  await page.locator('.sheet').waitFor()
  expect(await tooSmall(page)).toEqual([])
  await page.locator('.head .back').press('Enter')
  await expect.poll(() => focused(page)).toBe('Settings')
  expect(new URL(page.url()).pathname).toBe('/')
  // The settings were left the way they were entered: what is next in the history is they, not what is before.
  await page.goForward()
  await page.locator('.sheet').waitFor()
  await page.goBack()
  await page.getByRole('searchbox').fill('friend')
  await page.locator('.search .clear').waitFor()
  expect(await tooSmall(page)).toEqual([])
  expect(await page.evaluate(`getComputedStyle(document.querySelector('[type=search]')).fontSize`)).toBe('16px')
})

test('without a connection, and with what was not sent, as well', async () => {
  const context = await site().person(PHONE)
  await context.addInitScript(whoIs('amy'))
  await PageLink.of(context, () => true)
  const page = await site().open(context, '/c/bob')
  await page.locator('textarea').fill('refused')
  await page.locator('.sendb').click()
  await page.locator('.fail').waitFor()
  await context.setOffline(true)
  await page.locator('.banner').waitFor()
  expect(await tooSmall(page)).toEqual([])
})

test('a conversation that has the focus keeps it, however far the list is scrolled and wherever it moves', async () => {
  for (let n = 1; n <= 60; n += 1) await say(`friend-${n}`, 'art', 'hello')
  const page = await site().named('art')
  await page.locator('[data-with=friend-60]').focus()
  await page.locator('.side .list').hover()
  await page.mouse.wheel(0, 5000)
  await page.locator('[data-with=friend-1]').waitFor()
  expect(await focused(page)).toBe('friend-60')
  // Out of the pointer's way the list is in order again.
  await page.mouse.move(1000, 300)
  for (let n = 1; n <= 40; n += 1) await say(`friend-${n}`, 'art', 'again')
  await page.evaluate(`document.querySelector('.side .list').scrollTo(0, 0)`)
  await page.locator('[data-with=friend-40]').waitFor()
  expect(await focused(page)).toBe('friend-60')
})

test('whoever comes to a message by the keyboard is shown its exact time', async () => {
  await say('bob', 'ali', 'hello')
  const page = await site().named('ali', {}, '/c/bob')
  await page.locator('[data-seq="1"]').waitFor()
  await page.locator('textarea').press('Shift+Tab')
  const [label, top] = await page.evaluate<[string, number]>(`(() => {
    const style = getComputedStyle(document.querySelector('[data-message]:focus'), '::after')
    const row = document.querySelector('[data-message]:focus').getBoundingClientRect()
    const log = document.querySelector('.log').getBoundingClientRect()
    return [style.content, row.bottom - parseFloat(style.bottom) - parseFloat(style.height) - log.top]
  })()`)
  expect(label).toMatch(/^"\d+ \w+ \d{4} at \d\d:\d\d:\d\d"$/)
  expect(top).toBeGreaterThanOrEqual(0)
})

test('who is online is said and seen, also where the system chooses the colours', async () => {
  await say('bob', 'abe', 'hello')
  await site().named('bob')
  const page = await site().named('abe', { forcedColors: 'active' }, '/c/bob')
  await page.getByRole('link', { name: /^bob\W*online/ }).waitFor()
  const [dot, around, edge] = await page.evaluate<string[]>(`[
    getComputedStyle(document.querySelector('.item .avatar'), '::after').backgroundColor,
    getComputedStyle(document.querySelector('.item .avatar')).backgroundColor,
    getComputedStyle(document.querySelector('.item[aria-current]')).borderTopWidth,
  ]`)
  expect(dot).not.toBe(around)
  expect(edge).toBe('2px')
})

test('no browser complained', () => {
  expect(site().faults).toEqual([])
})
