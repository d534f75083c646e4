// Pictures of every state of the page, to be looked at one by one: light and dark, on a desk and on a phone. Each state is
// checked on the way: what axe-core finds, and what stands out of the window.
import { mkdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AccountsDouble } from '../support/accounts-double.ts'
import { axeViolations, overflows } from '../support/axe.ts'
import { PageLink, SCENES } from '../support/page-link.ts'
import { DESKTOP, PHONE, usePageSite } from '../support/page-site.ts'
import { post } from '../support/rest-client.ts'
import { seedTalk } from '../support/talk.ts'
import { SECRET } from '../support/tokens.ts'

const folder = process.env['SCREENSHOTS'] ?? join(tmpdir(), 'messaging-screenshots')
const only = new RegExp(process.env['STATES'] ?? '')
const site = usePageSite()
const LOOKS = [
  ['desk-light', { ...DESKTOP, colorScheme: 'light' }],
  ['desk-dark', { ...DESKTOP, colorScheme: 'dark' }],
  ['phone-light', { ...PHONE, colorScheme: 'light' }],
  ['phone-dark', { ...PHONE, colorScheme: 'dark' }],
] as const

beforeAll(() => {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
})
afterAll(() => process.stdout.write(`\nLook at every picture in ${folder}\n`))

async function picture(page: Page, look: string, state: string): Promise<void> {
  await page.screenshot({ path: join(folder, `${state}.${look}.png`) })
  expect.soft(await axeViolations(page), `${state} ${look}`).toEqual([])
  expect.soft(await overflows(page), `${state} ${look}`).toEqual([])
}

type Shot = (page: Page, state: string) => Promise<void>

/** Goes through some states, and makes a picture of each in every look. */
function inAllLooks(name: string, make: (context: BrowserContext, shot: Shot) => Promise<void>): void {
  test.each(LOOKS)(`${name}: %s`, async (look, options) => {
    const shot: Shot = (page, state) => (only.test(state) ? picture(page, look, state) : Promise.resolve())
    await make(await site().person(options), shot)
  })
}

inAllLooks('without sign-in', async (context, shot) => {
  const page = await site().open(context)
  await shot(page, 'door')
  await page.getByRole('textbox').fill('an impossible name!')
  await page.getByRole('textbox').press('Enter')
  await page.getByRole('alert').waitFor()
  await shot(page, 'door-wrong')
  await page.getByRole('textbox').fill('newcomer')
  await page.getByRole('textbox').press('Enter')
  await page.locator('.shell').waitFor()
  await shot(page, 'list-empty')
})

inAllLooks('conversations', async (context, shot) => {
  const me = `me-${Math.random().toString(36).slice(2, 8)}`
  await seedTalk(site().service, site().dsn, me)
  const ann = await site().named('ann.example')
  await ann.goto(`${site().origin}/c/${me}`)
  const page = await site().open(context)
  await page.getByRole('textbox').fill(me)
  await page.getByRole('textbox').press('Enter')
  // Who they are is asked for once the list is there, which comes in parts.
  for (const name of ['Ann Example', 'Frank Example']) await page.locator('.list').getByText(name).waitFor()
  await shot(page, 'list')
  await page.getByRole('searchbox').fill('ann')
  await page.locator('[data-item]').first().waitFor()
  await shot(page, 'search')
  await page.goto(`${site().origin}/c/carol.example`)
  await page.locator('textarea').fill('I will check the dashboard tomo')
  await page.goto(`${site().origin}/c/ann.example`)
  await page.locator('[data-message]').last().waitFor()
  await page.locator('textarea').fill('Shall we do a dry run at four?')
  await page.locator('.sendb').click()
  await page.locator('textarea').fill('My calendar is free.')
  await page.locator('.sendb').click()
  await page.locator('[data-state=read]').nth(4).waitFor()
  await shot(page, 'chat')
  await ann.locator('textarea').pressSequentially('So is')
  await page.locator('.head .typing').waitFor()
  await shot(page, 'chat-typing')
  await page.goto(`${site().origin}/settings`)
  await page.locator('.sheet').waitFor()
  await shot(page, 'settings')
  await page.goto(`${site().origin}/c/zoe.example`)
  await page.getByRole('heading', { level: 2 }).waitFor()
  await shot(page, 'chat-empty')
  await page.goto(`${site().origin}/c/ann.example`)
  await page.locator('[data-message]').last().waitFor()
  await context.setOffline(true)
  await page.locator('textarea').fill('This goes out when the train is out of the tunnel.')
  await page.locator('.sendb').click()
  await page.locator('.banner').waitFor()
  await shot(page, 'trouble')
})

inAllLooks('what was not sent, and what is new', async (context, shot) => {
  const me = `us-${Math.random().toString(36).slice(2, 8)}`
  const say = (content: string) => post(site().service, { sender_id: 'bob', receiver_id: me, content })
  for (let n = 1; n <= 40; n += 1) await say(`message ${n}`)
  await context.grantPermissions(['notifications'], { origin: site().origin })
  await context.addInitScript(SCENES)
  const link = await PageLink.of(context)
  const page = await site().open(context)
  await page.getByRole('textbox').fill(me)
  await page.getByRole('textbox').press('Enter')
  await page.getByRole('button', { name: 'Turn on' }).waitFor()
  await shot(page, 'offer-notifications')
  await page.getByRole('button', { name: 'Not now' }).click()
  await page.locator('[data-with=bob]').click()
  await page.locator('.new').waitFor()
  await shot(page, 'chat-divider')
  await page.locator('.log').evaluate((log) => log.scrollTo(0, 0))
  await say(`${'a long story\n'.repeat(40)}the end`)
  await page.getByRole('button', { name: '1 new message' }).waitFor()
  await shot(page, 'chat-jump')
  await page.getByRole('button', { name: '1 new message' }).click()
  await page.getByRole('button', { name: 'Show more' }).waitFor()
  await shot(page, 'chat-folded')
  link.refuses = true
  await page.locator('textarea').fill('Nobody takes this.')
  await page.locator('.sendb').click()
  await page.locator('[data-state=failed]').waitFor()
  await shot(page, 'chat-failed')
  await link.away()
  await page.locator('textarea').fill('This waits.')
  await page.locator('.sendb').click()
  await page.getByRole('button', { name: 'Try now' }).waitFor()
  await shot(page, 'banner-waiting')
  await page.evaluate(`sessionStorage.setItem('later', 'yes')`)
  link.refuses = false
  link.back()
  await page.reload()
  await page.locator('[data-state=held]').waitFor()
  await shot(page, 'chat-held')
  await page.evaluate(`sessionStorage.removeItem('later'); sessionStorage.setItem('update', 'yes')`)
  await page.goto(`${site().origin}/`)
  await page.getByText('A new version is ready.').waitFor()
  await shot(page, 'offer-update')
})

async function throughSettings(page: Page, look: (name: string) => Promise<void>): Promise<void> {
  for (const [path, wanted] of [
    ['/settings', '.way'],
    ['/settings/profile', '.portrait'],
    ['/settings/security', '.fields'],
    ['/settings/devices', '.entry'],
    ['/settings/people', '.entry .avatar'],
  ] as const) {
    await page.goto(site().origin + path)
    await page.locator(wanted).first().waitFor()
    await look(path.replaceAll('/', '-'))
  }
}

describe('on a server with accounts', () => {
  beforeAll(async () => {
    await site().kill()
    await site().start({ AUTH: 'jwt', JWT_SECRET: SECRET, WEB: 'on' })
  })

  inAllLooks('doors of accounts', async (context, shot) => {
    const double = new AccountsDouble()
    await double.attach(context)
    const page = await site().open(context)
    await page.getByLabel('Username').waitFor()
    await shot(page, 'signin')
    await page.getByLabel('Username').fill('ann')
    await page.getByLabel('Password', { exact: true }).fill('wrong')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.locator('.wrong').waitFor()
    // Where it was pressed it is pressed again.
    expect(await page.evaluate('document.activeElement.type')).toBe('submit')
    await shot(page, 'signin-wrong')
    await page.getByText('Forgot').click()
    await page.getByRole('textbox', { name: 'Recovery code' }).waitFor()
    await shot(page, 'recover')
    await page.goto(`${site().origin}/#invite=abcdef`)
    await page.getByLabel('Your name').waitFor()
    await page.getByLabel('Username').fill('bob')
    await page.getByLabel('Password', { exact: true }).fill('correct horse')
    await page.getByRole('button', { name: 'Create account' }).click()
    await page.locator('.wrong').waitFor()
    await shot(page, 'register-taken')
    await page.getByLabel('Username').fill('ann')
    await page.getByRole('button', { name: 'Create account' }).click()
    await page.locator('.codes').waitFor()
    await shot(page, 'codes')
    await page.goto(`${site().origin}/#reset=abcdef`)
    await page.getByRole('textbox', { name: 'New password' }).waitFor()
    await shot(page, 'reset')
  })

  test('doors and settings with accounts, in German on a phone', async () => {
    const context = await site().person({ ...PHONE, locale: 'de-DE' })
    await new AccountsDouble().attach(context)
    const page = await site().open(context)
    const shot = (name: string) => (only.test(name) ? picture(page, 'phone-german', name) : Promise.resolve())
    for (const [name, link, wanted] of [
      ['signin', '#', '[autocomplete="current-password"]'],
      ['register', '#invite=abcdef', '[autocomplete="new-password"]'],
      ['reset', '#reset=abcdef', '[autocomplete="new-password"]'],
    ] as const) {
      await page.goto(`${site().origin}/${link}`)
      await page.locator(wanted).waitFor()
      await shot(`german-${name}`)
    }
    await page.goto(`${site().origin}/`)
    await page.locator('[autocomplete="username"]').fill('ann')
    await page.locator('[autocomplete="current-password"]').fill('correct horse')
    await page.locator('[type=submit]').click()
    await page.locator('.shell').waitFor()
    await throughSettings(page, (name) => shot(`german${name}`))
  })

  inAllLooks('settings with accounts', async (context, shot) => {
    const double = new AccountsDouble()
    await double.attach(context)
    const page = await site().open(context)
    await page.getByLabel('Username').fill('ann')
    await page.getByLabel('Password', { exact: true }).fill('correct horse')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.locator('.shell').waitFor()
    await throughSettings(page, (path) => shot(page, `account${path}`))
    await page.goto(`${site().origin}/settings/security`)
    double.isLoginOld = true
    await page.getByRole('button', { name: 'New recovery codes' }).click()
    await page.getByRole('heading', { name: 'Is it you?' }).waitFor()
    await shot(page, 'account-again')
    double.isLoginOld = false
    await page.getByRole('dialog').getByLabel('Password', { exact: true }).fill('correct horse')
    await page.getByRole('button', { name: 'Confirm' }).click()
    await page.locator('.dialog .codes').waitFor()
    await shot(page, 'account-codes')
    await page.getByRole('button', { name: 'Close' }).click()
    await page.getByRole('button', { name: 'Delete my account' }).click()
    await page.getByRole('dialog').waitFor()
    await shot(page, 'account-delete')
    await page.goto(`${site().origin}/settings/people`)
    await page.locator('.entry .avatar').first().waitFor()
    await page.locator('summary').first().click()
    await shot(page, 'account-people-menu')
    await page.getByText('Make a reset link').first().click()
    await page.locator('.secret').waitFor()
    await shot(page, 'account-people-link')
    await page.getByRole('button', { name: 'Close' }).click()
    await page.locator('summary').first().click()
    await page.getByRole('button', { name: /Suspend: / }).click()
    await shot(page, 'account-people-suspend')
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.evaluate(`location.hash = '#invite=abcdef'`)
    await page.getByRole('heading', { name: 'Open this link?' }).waitFor()
    await shot(page, 'link')
  })
})

test('no browser complained', () => {
  expect(site().faults).toEqual([])
})
