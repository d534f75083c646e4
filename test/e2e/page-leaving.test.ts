// Somebody leaves the page: what is kept of them goes first, and whoever comes next has nothing to do with it.
import type { BrowserContext, Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { secretIn } from '../support/accounts.ts'
import { usePageSite } from '../support/page-site.ts'

const site = usePageSite(() => ({ AUTH: 'accounts', ADDRESS_REFUSALS_PER_SECOND: '0' }))
const PASSWORD = 'correct horse battery'
const LOGOUT = '**/api/auth/logout'

/** Makes the first account, and has something typed in a conversation with oneself that is not sent. */
async function ann(context: BrowserContext): Promise<Page> {
  const page = await site().open(context, `/#bootstrap=${secretIn(site().service.stderr, 'bootstrap')}`)
  await page.getByLabel('Your name').fill('Ann')
  await page.getByLabel('Username').fill('ann')
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD)
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'I have kept them' }).click()
  await page.locator('.me').getByText('Ann').waitFor()
  return page
}

async function signIn(page: Page): Promise<void> {
  await page.getByLabel('Username').fill('ann')
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD)
  await page.keyboard.press('Enter')
  await page.locator('.me').getByText('Ann').waitFor()
}

async function type(page: Page, text: string): Promise<void> {
  await page.goto(`${site().origin}/c/somebody`)
  await page.locator('textarea').fill(text)
  // The storage has it once another tab has heard of it and is loaded anew.
  await page.reload()
  await page.locator('textarea').waitFor()
  expect(await page.locator('textarea').inputValue()).toBe(text)
}

test('a server that does not answer keeps nothing here, and ends no session that begins after it', async () => {
  const context = await site().person()
  const page = await ann(context)
  await type(page, 'not for the next one')
  let release: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  // The first is lost with the tab, the second is answered late.
  await context.route(LOGOUT, () => undefined, { times: 1 })
  const leaving = async (from: Page): Promise<void> => {
    await from.getByRole('link', { name: 'Settings' }).click()
    const asked = from.waitForRequest(LOGOUT)
    await from.getByRole('button', { name: 'Sign out' }).click()
    await asked
  }
  await leaving(page)
  await page.close()
  const again = await site().open(context)
  await signIn(again)
  await again.goto(`${site().origin}/c/somebody`)
  await again.locator('textarea').waitFor()
  expect(await again.locator('textarea').inputValue()).toBe('')
  await context.route(LOGOUT, (route) => held.then(() => route.continue()), { times: 1 })
  await leaving(again)
  // Nobody is asked in while their session may still be ended.
  expect(await again.getByLabel('Username').count()).toBe(0)
  release()
  await signIn(again)
  await again.reload()
  await again.locator('.me').getByText('Ann').waitFor()
  expect(site().faults).toEqual([])
})
