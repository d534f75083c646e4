// `npm run browser`: every feature of the page by the keys alone, and what people with accounts do, on the real server.
import { fileURLToPath } from 'node:url'
import type { BrowserContext, Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { secretIn } from '../support/accounts.ts'
import { axeViolations } from '../support/axe.ts'
import { Keys } from '../support/keyboard.ts'
import { PageLink, SCENES } from '../support/page-link.ts'
import { type PageSite, usePageSite } from '../support/page-site.ts'

const site = usePageSite()
const PICTURE = fileURLToPath(new URL('../../src/web/public/icon-192.png', import.meta.url))
const say: PageSite['say'] = (...message) => site().say(...message)

test('without a mouse one finds people, talks, reads back, corrects, and chooses how the page is', async () => {
  const context = await site().person()
  await context.grantPermissions(['notifications'], { origin: site().origin })
  for (let n = 1; n <= 60; n += 1) await say('bob', 'ann', `message ${n}`)
  await say('bob', 'ann', `${'a long story\n'.repeat(40)}the end`)
  await say('dora', 'ann', 'good morning')
  const page = await site().open(context)
  const keys = new Keys(page)
  await page.getByLabel('Your name').waitFor()
  await page.keyboard.type('ann')
  await page.keyboard.press('Enter')
  await page.locator('[data-with=dora]').waitFor()

  await keys.to('Search people')
  await page.keyboard.type('carol')
  await page.getByText('Write to “carol”').waitFor()
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { level: 1, name: 'carol' }).waitFor()
  expect((await keys.focused()).name).toBe('Message to carol')
  await page.keyboard.type('Hello')
  await page.keyboard.press('Shift+Enter')
  await page.keyboard.type('Carol')
  await page.keyboard.press('Enter')
  await page.locator('[data-state=sent]').waitFor()
  await keys.to(/^You, .*Hello\nCarol/, 'Shift+Tab')

  // The list: up and down through people, and up from the first of them to the search.
  await keys.to(/^c?carol/i, 'Shift+Tab')
  await page.keyboard.press('ArrowDown')
  await keys.at(/dora/)
  await page.keyboard.press('ArrowDown')
  await keys.at(/bob/)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { level: 1, name: 'bob' }).waitFor()
  await page.locator('[data-seq="61"]').waitFor()
  await page.keyboard.press('Escape')
  await keys.to(/^bob, .*the end/s, 'Shift+Tab')
  await page.keyboard.press('Tab')
  expect((await keys.focused()).name).toBe('Show more')
  await page.keyboard.press('Enter')
  expect((await keys.focused()).name).toMatch(/^bob, .*the end/s)
  for (const [key, seq] of [
    ['ArrowUp', 60],
    ['Home', 12],
  ] as const) {
    await page.keyboard.press(key)
    await expect
      .poll(() => page.evaluate<number>('Number(document.activeElement.dataset.seq)'))
      .toBeLessThanOrEqual(seq)
  }
  await say('bob', 'ann', 'are you there?')
  await page.getByRole('button', { name: '1 new message' }).waitFor()
  await keys.press(/^1 new message/)
  await page.locator('[data-seq="62"]').waitFor()
  expect((await keys.focused()).name).not.toBe('')
  await page.locator('.jump').waitFor({ state: 'detached' })
  await keys.to(/^bob, /, 'Shift+Tab')
  await page.keyboard.press('/')
  expect((await keys.focused()).name).toBe('Message to bob')
  expect(await axeViolations(page)).toEqual([])

  await keys.press('Settings')
  await page.getByRole('heading', { level: 1, name: 'Settings' }).waitFor()
  expect((await keys.focused()).name).toBe('Settings')
  await keys.press('Notify me of new messages', 'Space')
  await page.getByText('Show the text of messages').waitFor()
  await keys.to('System')
  await page.keyboard.press('ArrowRight')
  await page.keyboard.press('ArrowRight')
  expect(await page.evaluate('document.documentElement.style.colorScheme')).toBe('dark')
  await keys.to('Language')
  await page.keyboard.type('Deutsch')
  await page.getByRole('heading', { level: 1, name: 'Einstellungen' }).waitFor()
  await keys.press('Abmelden')
  await page.getByLabel('Dein Name').waitFor()
  expect(site().faults).toEqual([])
})

test('without a mouse one tries again, edits or drops what was refused, and takes a new version', async () => {
  const context = await site().person()
  await context.addInitScript(SCENES)
  const link = await PageLink.of(context)
  const page = await site().open(context, '/c/bob')
  await page.getByLabel('Your name').waitFor()
  await page.keyboard.type('cara')
  await page.keyboard.press('Enter')
  await page.locator('textarea').waitFor()
  const keys = new Keys(page)
  const refused = async (text: string): Promise<void> => {
    link.refuses = true
    await keys.fill('Message to bob', text)
    await page.keyboard.press('Enter')
    await page.locator('[data-state=failed]').waitFor()
    link.refuses = false
  }
  /** What was pressed is gone with its row; one goes on where one writes. */
  const choose = async (action: string): Promise<void> => {
    await keys.to(action, 'Shift+Tab')
    await page.keyboard.press('Enter')
    await page.locator('[data-state=failed]').waitFor({ state: 'detached' })
    expect((await keys.focused()).name).toBe('Message to bob')
  }
  await refused('first')
  await choose('Retry')
  await page.locator('[data-state=sent]').waitFor()
  await refused('second')
  await choose('Edit')
  expect(await page.locator('textarea').inputValue()).toBe('second')
  await refused('third')
  await choose('Delete')
  expect(await page.locator('[data-message]').count()).toBe(1)
  expect(await page.locator('textarea').inputValue()).toBe('')
  await page.evaluate(`sessionStorage.setItem('update', 'yes')`)
  await page.reload()
  await page.getByText('A new version is ready.').waitFor()
  await page.evaluate('globalThis.mark = 1')
  await keys.press('Reload')
  await expect.poll(() => page.evaluate('globalThis.mark').catch(() => 1)).toBe(undefined)
  expect(site().faults).toEqual([])
})

const PASSWORD = 'correct horse battery'

/** Makes an account by a link. */
async function register(page: Page, who: { name: string; username: string }): Promise<void> {
  const keys = new Keys(page)
  await page.getByLabel('Your name').waitFor()
  await page.keyboard.type(who.name)
  await keys.fill('Username', who.username)
  await keys.fill('Password', PASSWORD)
  await page.keyboard.press('Enter')
  const codes = page.locator('.codes li')
  await codes.first().waitFor()
  await keys.press('I have kept them')
  await page.locator('.side .me').getByText(who.name).waitFor()
}

async function toSettings(page: Page, ...ways: string[]): Promise<Keys> {
  const keys = new Keys(page)
  await keys.press('Settings')
  await page.getByRole('heading', { level: 1, name: 'Settings' }).waitFor()
  for (const way of ways) {
    await page.getByRole('link', { name: way === 'Profile' ? /@/ : way }).waitFor()
    await keys.press(way === 'Profile' ? /@/ : way)
    await page.getByRole('heading', { level: 1, name: way === 'Profile' ? 'Profile' : way }).waitFor()
  }
  return keys
}

/** The link that a dialog shows, which Escape closes; the focus goes back to where it was. */
async function linkShown(page: Page, keys: Keys): Promise<string> {
  const link = await page.locator('.secret input').inputValue()
  await page.keyboard.press('Escape')
  await page.locator('.secret').waitFor({ state: 'detached' })
  expect((await keys.focused()).name).not.toBe('')
  return new URL(link).hash
}

test('without a mouse an admin invites, suspends and helps, and the invited one has a picture and a new password', async () => {
  await site().kill()
  await site().start({ AUTH: 'accounts', ADDRESS_REFUSALS_PER_SECOND: '0' })
  const enter = async (context: BrowserContext, hash: string): Promise<Page> => site().open(context, `/${hash}`)
  const ann = await enter(await site().person(), `#bootstrap=${secretIn(site().service.stderr, 'bootstrap')}`)
  await register(ann, { name: 'Ann', username: 'ann' })
  const annKeys = await toSettings(ann, 'People and invitations')
  await annKeys.to('Can be used')
  await ann.keyboard.press('ArrowDown')
  await annKeys.press('Make link')
  await ann.locator('.secret').waitFor()
  const invitation = await linkShown(ann, annKeys)
  await ann.getByText('5 uses left').waitFor()

  const home = await site().person()
  const bob = await enter(home, invitation)
  await register(bob, { name: 'Bob', username: 'bob' })
  const bobKeys = await toSettings(bob, 'Profile')
  const chooser = bob.waitForEvent('filechooser')
  await bobKeys.press('Choose a picture')
  await (await chooser).setFiles(PICTURE)
  await bob.locator('.portrait img').waitFor()
  await bobKeys.fill('Your name', 'Bobby')
  await bobKeys.press('Save')
  await bob.locator('.me').getByText('Bobby').waitFor()

  await annKeys.to('Search people', 'Shift+Tab')
  await ann.keyboard.type('bobby')
  await ann.getByRole('link', { name: /^Bobby/ }).waitFor()
  await ann.keyboard.press('Enter')
  await ann.getByRole('heading', { level: 1, name: /^Bobby$/ }).waitFor()
  await expect.poll(() => ann.evaluate(`document.querySelector('.head .avatar img')?.naturalWidth`)).toBe(256)
  await ann.keyboard.type('Welcome')
  await ann.keyboard.press('Enter')
  await bob.getByRole('link', { name: /Ann.*Welcome/ }).press('Enter')
  await bob.locator('[data-state=received]').waitFor()

  const actions = async (action: string): Promise<void> => {
    await annKeys.press('Actions for Bobby')
    await annKeys.press(`${action}: Bobby`)
  }
  await toSettings(ann, 'People and invitations')
  await ann.getByText('@bob').waitFor()
  await actions('Suspend')
  await annKeys.press('Suspend')
  await ann.locator('.tag.bad').waitFor()
  await bob
    .locator('.banner')
    .getByText(/signed out|may not connect/)
    .waitFor()
  await actions('Lift suspension')
  await ann.locator('.tag.bad').waitFor({ state: 'detached' })
  await actions('Make a reset link')
  await ann.locator('.secret').waitFor()
  const reset = await linkShown(ann, annKeys)
  await actions('Make admin')
  await ann.locator('.entry', { hasText: '@bob' }).locator('.tag').waitFor()
  await actions('Make member')
  await ann.locator('.entry', { hasText: '@bob' }).locator('.tag').waitFor({ state: 'detached' })
  await annKeys.press(/^Remove: /)
  await ann.getByText('No open invitations').waitFor()
  expect(await axeViolations(ann)).toEqual([])

  const away = await site().person()
  const again = await enter(away, reset)
  await again.getByRole('heading', { name: 'Choose a new password' }).waitFor()
  await again.keyboard.type(`${PASSWORD} staple`)
  await again.keyboard.press('Enter')
  await again.getByText('Your password is changed').waitFor()
  await lookAfter(again, bob, `${PASSWORD} staple`)
  expect(site().faults).toEqual([])
})

/** Comes in by the keys of the door, from wherever the focus is. */
async function signIn(page: Page, password: string): Promise<Keys> {
  const keys = new Keys(page)
  await page.getByLabel('Username').waitFor()
  await keys.fill('Username', 'bob')
  await keys.fill('Password', password)
  await page.keyboard.press('Enter')
  await page.locator('.side .me').getByText('Bobby').waitFor()
  return keys
}

/** Somebody with two devices looks after their account, loses the password, comes back by a code, and goes for good. */
async function lookAfter(page: Page, other: Page, password: string): Promise<void> {
  await signIn(page, password)
  await new Keys(other).press('Sign in again')
  await signIn(other, password)
  let keys = await toSettings(page, 'Devices')
  await keys.press(/^Sign out (?!everywhere)/)
  await page.getByRole('button', { name: /^Sign out (?!everywhere)/ }).waitFor({ state: 'detached' })
  await other
    .locator('.banner')
    .getByText(/signed out/)
    .waitFor()
  expect(await axeViolations(page)).toEqual([])

  keys = await toSettings(page, 'Password')
  await keys.fill('Present password', password)
  await keys.fill('New password', `${password} two`)
  await keys.press('Change password')
  await page.getByText('Your other devices are signed out.').waitFor()
  await keys.press('New recovery codes')
  await page.locator('.dialog .codes li').first().waitFor()
  const code = (await page.locator('.dialog .codes li').first().textContent()) ?? ''
  await page.keyboard.press('Escape')
  await keys.at(/^New recovery codes$/)

  await keys.press('Back')
  await keys.press('Sign out')
  await page.getByLabel('Username').waitFor()
  keys = new Keys(page)
  await keys.press('Forgot your password?')
  await keys.fill('Username', 'bob')
  await keys.fill('Recovery code', code)
  await keys.fill('New password', `${password} three`)
  await keys.press('Change password')
  await page.getByText('Your password is changed').waitFor()
  await signIn(page, `${password} three`)
  keys = await toSettings(page, 'Password')
  await keys.press('Delete my account')
  await page.getByRole('dialog').waitFor()
  await page.keyboard.type('not my password')
  await page.keyboard.press('Enter')
  await page.getByText('Your present password is wrong.').waitFor()
  await keys.fill('Password', `${password} three`)
  await page.keyboard.press('Enter')
  await page.getByLabel('Username').waitFor()
}
