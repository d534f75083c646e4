// The page in a real browser: two people talk, and what they see is what is stored.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { useChatSite } from '../support/chat-site.ts'
import { LAN_HOST } from '../support/chromium.ts'
import { FakePushService } from '../support/fake-push-service.ts'
import { get, post } from '../support/rest-client.ts'
import { TalkTab } from '../support/talk-tab.ts'

let fake: FakePushService
beforeAll(async () => {
  fake = await FakePushService.start()
})
afterAll(() => fake.close())
const site = useChatSite('built', () => ({ ...fake.env, PUSH_AFTER_SECONDS: '1' }))

/** What the page shows is what is stored, in the same order. */
async function expectSame(tab: TalkTab, user: string, other: string): Promise<string[]> {
  const stored = await site().stored(user, other)
  const shown = await tab.rows()
  expect(shown.map(({ id, seq, content }) => ({ id, seq: Number(seq), content }))).toEqual(
    stored.map(({ id, seq, content }) => ({ id, seq, content })),
  )
  expect(tab.complaints).toEqual([])
  return stored.map(({ content }) => content)
}

test('two people talk over plain http, over a reload and a restart of the service', async () => {
  const ann = await TalkTab.enter(site(), await site().person(), { host: LAN_HOST, name: 'ann' })
  const bob = await TalkTab.enter(site(), await site().person(), { host: LAN_HOST, name: 'bob' })
  expect(await ann.page.evaluate('isSecureContext')).toBe(false)
  await ann.talkTo('bob')
  await ann.say('Hello Bob')
  // It comes into the list of somebody who never heard of the other.
  await bob.until(`document.title.startsWith('(1)')`)
  await bob.page.click('nav [href="/c/ann"]')
  await bob.untilRows(1, 'received')
  await ann.untilRows(1, 'read')
  await bob.until(`!document.title.startsWith('(')`)
  await bob.page.type('main textarea', 'Hello')
  await ann.until(`document.querySelector('.head .typing') !== null`)
  await bob.page.type('main textarea', ' Ann')
  await bob.page.reload()
  await bob.until(`document.querySelector('main textarea')?.value === 'Hello Ann'`)
  await bob.page.press('main textarea', 'Enter')
  await ann.untilRows(2, 'read', 'received')

  site().proxy.set('refused')
  await ann.say('while it was away')
  await ann.untilRows(3, 'read', 'received', 'queued')
  await ann.page.reload()
  await ann.untilRows(3, 'read', 'received', 'queued', 'sending')
  await ann.until(`document.querySelector('.banner button') !== null`)
  await site().kill()
  await site().start()
  site().proxy.set('open')
  // Unless it has come back by itself in the meantime.
  await ann.page.evaluate(`document.querySelector('.banner button')?.click()`)
  await bob.untilRows(3, 'received', 'read', 'delivered', 'sent')
  await ann.untilRows(3, 'read', 'received', 'delivered', 'sent')
  expect(await expectSame(ann, 'ann', 'bob')).toEqual(['Hello Bob', 'Hello Ann', 'while it was away'])
  expect(await expectSame(bob, 'bob', 'ann')).toEqual(['Hello Bob', 'Hello Ann', 'while it was away'])
})

test('what cannot be sent stays in the field, what an input method composes is not sent, and back is back', async () => {
  const tab = await TalkTab.enter(site(), await site().person(), { host: '127.0.0.1', name: 'carol' })
  await tab.talkTo('dan')
  await tab.page.fill('main textarea', 'x'.repeat(16_385))
  await tab.page.press('main textarea', 'Enter')
  await tab.page.waitForSelector('.compose [role=alert]')
  expect((await tab.page.inputValue('main textarea')).length).toBe(16_385)
  await tab.page.fill('main textarea', '')
  // The key that ends a composition, as Chromium tells of it and as Safari does.
  const browser = await tab.page.context().newCDPSession(tab.page)
  await browser.send('Input.imeSetComposition', { text: 'にほん', selectionStart: 3, selectionEnd: 3 })
  await browser.send('Input.dispatchKeyEvent', { type: 'rawKeyDown', key: 'Enter', windowsVirtualKeyCode: 229 })
  await tab.page.evaluate(`document.querySelector('main textarea').dispatchEvent(
    new KeyboardEvent('keydown', { key: 'Enter', keyCode: 229, bubbles: true, cancelable: true }))`)
  await browser.send('Input.insertText', { text: '日本' })
  expect(await tab.page.inputValue('main textarea')).toBe('日本')
  expect(await tab.rows()).toEqual([])
  await tab.page.press('main textarea', 'Shift+Enter')
  await tab.page.type('main textarea', 'second line')
  await tab.page.press('main textarea', 'Enter')
  await tab.untilRows(1, 'sent')
  expect(await expectSame(tab, 'carol', 'dan')).toEqual(['日本\nsecond line'])
  await tab.page.goBack()
  await tab.page.waitForSelector('main h1:has-text("No conversation open")')
})

test('a page that cannot start says so, in place of nothing', async () => {
  const context = await site().person()
  await context.addInitScript(`delete globalThis.WebSocket; sessionStorage.setItem('name', 'erin')`)
  const page = await context.newPage()
  await page.goto(site().url('127.0.0.1', '/'))
  await page.getByRole('alert').getByText('The page could not start.').waitFor()
})

test('a screen that is fetched without a network says so, and comes when it is back; the page stays', async () => {
  const context = await site().person()
  const tab = await TalkTab.enter(site(), context, { host: LAN_HOST, name: 'lee' })
  await tab.page.evaluate('globalThis.mark = 1')
  await context.setOffline(true)
  await tab.page.getByRole('link', { name: 'Settings' }).click()
  await tab.page.getByRole('heading', { name: 'The server cannot be reached' }).waitFor()
  await context.setOffline(false)
  await tab.page.getByRole('alert').getByRole('button', { name: 'Try now' }).click()
  await tab.page.getByRole('heading', { level: 1, name: 'Settings' }).waitFor()
  expect(await tab.page.evaluate('globalThis.mark')).toBe(1)
  expect(tab.complaints).toEqual([])
})

test('a browser that keeps nothing is said to, once there is something to lose', async () => {
  const context = await site().person()
  await context.addInitScript(`Object.defineProperty(globalThis, 'indexedDB', { value: undefined })`)
  const tab = await TalkTab.enter(site(), context, { host: '127.0.0.1', name: 'fay' })
  await tab.talkTo('gus')
  await tab.say('kept by the server')
  await tab.untilRows(1, 'sent')
  expect(await tab.page.getByText('This browser keeps nothing').count()).toBe(0)
  site().proxy.set('refused')
  await tab.say('kept by nobody')
  await tab.page.getByText('This browser keeps nothing').waitFor()
  site().proxy.set('open')
  await tab.untilRows(2, 'sent')
  await tab.page.getByText('This browser keeps nothing').waitFor({ state: 'detached' })
})

test('who has no page open is notified once for each conversation, until it is read in another tab', async () => {
  const host = '127.0.0.1'
  const context = await site().person()
  await context.grantPermissions(['notifications'], { origin: new URL(site().url(host, '/')).origin })
  const service = { port: site().port ?? 0 }
  const browser = fake.subscribe(String((await get(service, '/api/push/key?user_id=hal')).body?.['public_key']))
  // This browser has no push service: it gets one of ours, and what that takes is handed to the worker by hand.
  await context.addInitScript(`PushManager.prototype.getSubscription = async () => null
    PushManager.prototype.subscribe = async () => ({ toJSON: () => (${JSON.stringify(browser.json)}) })`)
  const tab = await TalkTab.enter(site(), context, { host, name: 'hal' })
  await tab.page.evaluate('navigator.serviceWorker.ready.then(() => {})')
  const send = (sender: string, content: string) => post(service, { sender_id: sender, receiver_id: 'hal', content })
  await send('ivy', 'read at once')
  const told = tab.page.waitForResponse((answer) => answer.url().endsWith('/api/push/subscription'))
  await tab.page.getByRole('button', { name: 'Turn on' }).click()
  expect((await told).status()).toBe(204)
  await tab.page.close()
  const blank = await site().openBlank(context, host)
  for (const text of ['one', 'two', 'three']) await send('jan', text)
  await send('kim', 'hello')
  const worker = await context.newCDPSession(blank)
  const registered = new Promise<string>((resolve) => {
    worker.on('ServiceWorker.workerRegistrationUpdated', ({ registrations: [one] }) => {
      if (one) resolve(one.registrationId)
    })
  })
  await worker.send('ServiceWorker.enable')
  const registrationId = await registered
  const ofJan = await fake.pushed(browser, ({ data }) => data.with === 'jan' && data.count === 3)
  const ofKim = await fake.pushed(browser, ({ data }) => data.with === 'kim')
  // The first once more, as a service may that an instance died over: it takes the place of itself.
  for (const { data } of [ofJan, ofKim, ofJan]) {
    await worker.send('ServiceWorker.deliverPushMessage', {
      origin: new URL(blank.url()).origin,
      registrationId,
      data: JSON.stringify(data),
    })
  }
  const shown = `navigator.serviceWorker.getRegistration().then((registration) => registration.getNotifications())
    .then((list) => list.map(({ title, body }) => title + ': ' + body).sort())`
  await expect.poll(() => blank.evaluate(shown)).toEqual(['jan: 3 new messages', 'kim: New message'])
  const other = await TalkTab.enter(site(), context, { host, name: 'hal' })
  await other.page.click('nav [href="/c/jan"]')
  await expect.poll(() => blank.evaluate(shown), { timeout: 60_000 }).toEqual(['kim: New message'])
  expect(fake.faults).toEqual([])
})
