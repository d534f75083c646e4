// The doors of the page in a real browser: people sign in, come by links, and nobody becomes another person unasked.
import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { secretIn } from '../support/accounts.ts'
import { axeViolations, overflows } from '../support/axe.ts'
import { usePageSite } from '../support/page-site.ts'
import { SECRET, tokenFor } from '../support/tokens.ts'

const site = usePageSite(() => ({ AUTH: 'accounts', ADDRESS_REFUSALS_PER_SECOND: '0' }))
const PASSWORD = 'correct horse battery'

async function expectGood(page: Page): Promise<void> {
  expect.soft(await axeViolations(page)).toEqual([])
  expect.soft(await overflows(page)).toEqual([])
}

test('with accounts the first link makes an admin, who signs out and in again', async () => {
  const context = await site().person()
  const link = `/#bootstrap=${secretIn(site().service.stderr, 'bootstrap')}`
  const page = await site().open(context, link)
  await page.getByLabel('Your name').fill('Ann Example')
  expect(new URL(page.url()).hash).toBe('')
  await expectGood(page)
  await page.getByLabel('Username').fill('ann')
  await page.getByLabel('Password', { exact: true }).fill('password')
  await page.getByRole('button', { name: 'Create account' }).click()
  await page.getByText('too easy to guess').waitFor()
  expect(await page.evaluate('document.activeElement.autocomplete')).toBe('new-password')
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD)
  await page.keyboard.press('Enter')
  expect(await page.locator('.codes li').first().textContent()).not.toBe('')
  expect(await page.locator('.codes li').count()).toBe(10)
  await page.getByRole('button', { name: 'I have kept them' }).click()
  await page.locator('.side .me').getByText('Ann Example').waitFor()
  await page.reload()
  await page.getByRole('link', { name: 'Settings' }).click()
  await page.getByRole('link', { name: 'Devices' }).click()
  await page.getByText('this device').waitFor()
  await page.getByRole('button', { name: 'Back' }).click()
  await expectGood(page)
  // A link that comes to the open page takes nobody away unasked.
  const follow = () => page.evaluate(`location.hash = '#invite=abcdef'`)
  await follow()
  await page.getByRole('heading', { name: 'Open this link?' }).waitFor()
  expect(new URL(page.url()).hash).toBe('')
  await expectGood(page)
  await page.getByRole('button', { name: 'Stay Ann Example' }).click()
  await page.locator('.side .me').waitFor()
  await follow()
  await page.getByRole('button', { name: 'Open the link' }).click()
  await page.getByRole('heading', { name: 'Create your account' }).waitFor()
  await page.evaluate(`location.hash = '#reset=abcdef'`)
  await page.getByRole('heading', { name: 'Choose a new password' }).waitFor()
  await page.reload()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByLabel('Username').fill('ann')
  await page.getByLabel('Password', { exact: true }).fill('wrong horse')
  await page.keyboard.press('Enter')
  await page.getByText('The username or the password is wrong.').waitFor()
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD)
  await page.keyboard.press('Enter')
  await page.locator('.side .me').getByText('Ann Example').waitFor()
  expect(site().faults).toEqual([])
})

test('with tokens a link signs in once, and makes nobody another person unasked', async () => {
  await site().kill()
  await site().start({ AUTH: 'jwt', JWT_SECRET: SECRET, WEB: 'on', WEB_LOGIN_URL: 'http://127.0.0.1:9/login' })
  const context = await site().person()
  await context.route('http://127.0.0.1:9/login', (route) => route.fulfill({ body: 'the login of the operator' }))
  const page = await site().open(context)
  await page.getByText('the login of the operator').waitFor()
  // A server that is busy has not refused it.
  await page.route('**/api/users/me', (route) => route.fulfill({ status: 503 }), { times: 1 })
  await page.goto(`${site().origin}/c/bob#token=${tokenFor('ann')}`)
  await page.locator('.me').getByText('ann').waitFor()
  expect(page.url()).toBe(`${site().origin}/c/bob`)
  await page.locator('textarea').fill('Not sent yet')
  await page.reload()
  await page.locator('.me').getByText('ann').waitFor()
  const link = await site().open(context, `/#token=${tokenFor('mallory')}`)
  await link.getByRole('heading', { name: 'Sign in as mallory?' }).waitFor()
  await expectGood(link)
  await link.getByRole('button', { name: 'Stay ann' }).click()
  await link.getByText('the login of the operator').waitFor()
  await link.goto(`${site().origin}/#token=${tokenFor('mallory')}`)
  await link.getByRole('button', { name: 'Sign in as mallory' }).click()
  await link.locator('.me').getByText('mallory').waitFor()
  // In an open tab as well.
  await link.evaluate(`location.hash = '#token=${tokenFor('ann')}'`)
  await link.getByRole('button', { name: 'Stay mallory' }).click()
  await link.locator('.me').getByText('mallory').waitFor()
  expect(link.url()).toBe(`${site().origin}/`)
  await link.evaluate(`location.hash = '#token=${tokenFor('ann')}'`)
  await link.getByRole('button', { name: 'Sign in as ann' }).click()
  await link.locator('.me').getByText('ann').waitFor()
  await link.evaluate(`location.hash = '#token=${tokenFor('mallory')}'`)
  await link.getByRole('button', { name: 'Sign in as mallory' }).click()
  await link.locator('.me').getByText('mallory').waitFor()
  // A tab shows what is kept of its own person, whoever was here last.
  await page.routeWebSocket('**/ws', (socket) => socket.close())
  await page.reload()
  await page.locator('.me').getByText('ann').waitFor()
  expect(await page.locator('textarea').inputValue()).toBe('Not sent yet')
  const forged = await site().open(await site().person(), `/#token=${tokenFor('eve').slice(0, -3)}AAA`)
  await forged.waitForURL('http://127.0.0.1:9/login').catch(() => undefined)
  expect(await forged.locator('.me').count()).toBe(0)
  expect(site().faults).toEqual([])
})
