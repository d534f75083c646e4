// Somebody leaves the page: what is kept of them goes first, and whoever comes next has nothing to do with it.
import type { BrowserContext, Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { secretIn } from '../support/accounts.ts'
import { usePageSite } from '../support/page-site.ts'
import { SECRET, tokenFor } from '../support/tokens.ts'

const PUSH = { PUSH_SUBJECT: 'mailto:admin@example.com' }
const site = usePageSite(() => ({ ...PUSH, AUTH: 'accounts', ADDRESS_REFUSALS_PER_SECOND: '0' }))
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

/** From now on no time runs out in the pages of a browser: a slow machine changes nothing of what they show. */
async function withoutLimits(context: BrowserContext): Promise<void> {
  await context.clock.setFixedTime(Date.now())
  const endless = 'AbortSignal.timeout = () => new AbortController().signal'
  await context.addInitScript(endless)
  for (const page of context.pages()) await page.evaluate(endless)
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
  await withoutLimits(context)
  await leaving(again)
  // Nobody is asked in while their session may still be ended. What the page shows then has come before it is looked at.
  await again.locator('.me').waitFor({ state: 'detached' })
  expect(await again.getByLabel('Username').count()).toBe(0)
  release()
  await signIn(again)
  await again.reload()
  await again.locator('.me').getByText('Ann').waitFor()
  expect(site().faults).toEqual([])
})

test('whoever signs in in another tab while one leaves is not signed out by that', async () => {
  const context = await site().person()
  const leaving = await site().open(context)
  await signIn(leaving)
  const other = await site().open(context)
  await other.locator('.me').getByText('Ann').waitFor()
  await withoutLimits(context)
  let release: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  await context.route(LOGOUT, (route) => held.then(() => route.continue()), { times: 1 })
  const asked = leaving.waitForRequest(LOGOUT)
  await leaving.getByRole('link', { name: 'Settings' }).click()
  await leaving.getByRole('button', { name: 'Sign out' }).click()
  await asked
  await other.locator('.me').waitFor({ state: 'detached' })
  const third = await site().open(context)
  await third.getByRole('status').waitFor()
  expect(await Promise.all([other, third].map((page) => page.getByLabel('Username').count()))).toEqual([0, 0])
  release()
  await third.getByLabel('Username').waitFor()
  await signIn(other)
  await other.reload()
  await other.locator('.me').getByText('Ann').waitFor()
  expect(site().faults).toEqual([])
})

const SUBSCRIPTION = '**/api/push/subscription'
/** A browser without a push service: all its tabs have one that is made up, and notifications are on. */
const WITH_PUSH = `{
  const made = () => ({
    endpoint: 'https://fcm.googleapis.com/' + localStorage.getItem('subscribed'),
    options: {},
    toJSON() { return { endpoint: this.endpoint, keys: ${JSON.stringify({
      p256dh: 'BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4',
      auth: 'BTBZMqHH6r4Tts7J_aSIgg',
    })} } },
    async unsubscribe() { localStorage.removeItem('subscribed') },
  })
  PushManager.prototype.getSubscription = async () => localStorage.getItem('subscribed') ? made() : null
  PushManager.prototype.subscribe = async () => {
    localStorage.setItem('subscribed', Math.random())
    return made()
  }
  localStorage.setItem('notifications', 'sender')
}`

/** A browser of somebody who has notifications on. */
async function notified(): Promise<BrowserContext> {
  const context = await site().person({ serviceWorkers: 'allow' })
  await context.grantPermissions(['notifications'], { origin: site().origin })
  await context.addInitScript(`if (location.port === '${site().port}') ${WITH_PUSH}`)
  return context
}

const subscribed = (page: Page): Promise<string | null> => page.evaluate(`localStorage.getItem('subscribed')`)

test('notifications begin with each sign-in, and end with it', async () => {
  await site().kill()
  await site().start({ ...PUSH, AUTH: 'accounts', ADDRESS_REFUSALS_PER_SECOND: '0' })
  const context = await notified()
  const page = await site().open(context)
  for (const _ of [1, 2]) {
    await page.evaluate('navigator.serviceWorker.ready.then(() => {})')
    const told = page.waitForResponse(SUBSCRIPTION)
    await signIn(page)
    expect((await told).status()).toBe(204)
    const { length } = (await subscribed(page)) ?? ''
    expect(length).toBeGreaterThan(0)
    // Declared again with each load.
    const again = page.waitForResponse(SUBSCRIPTION)
    await page.reload()
    expect((await again).request().method()).toBe('PUT')
    await page.getByRole('link', { name: 'Settings' }).click()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('Username').waitFor()
    expect(await subscribed(page)).toBe(null)
  }
})

test('with tokens what comes for one person does not show to the next', async () => {
  await site().kill()
  await site().start({ ...PUSH, AUTH: 'jwt', JWT_SECRET: SECRET, WEB: 'on' })
  const context = await notified()
  const page = await site().open(context, `/#token=${tokenFor('ann')}`)
  await page.locator('.me').getByText('ann').waitFor()
  await page.evaluate('navigator.serviceWorker.ready.then(() => {})')
  const told = page.waitForResponse(SUBSCRIPTION)
  await page.reload()
  await told
  const ofAnn = await subscribed(page)
  expect(ofAnn).not.toBe(null)
  const next = await site().open(context, `/#token=${tokenFor('mallory')}`)
  const toldNext = next.waitForResponse((answer) => answer.request().method() === 'PUT')
  await next.getByRole('button', { name: 'Sign in as mallory' }).click()
  expect((await toldNext).status()).toBe(204)
  expect([null, ofAnn]).not.toContain(await subscribed(next))
})
