// `npm run browser`: the page by the keys alone, in other languages, without the server, and in its next version.
import { expect, onTestFinished, test } from 'vitest'
import { axeViolations, overflows } from '../support/axe.ts'
import { PageLink } from '../support/page-link.ts'
import { usePageSite } from '../support/page-site.ts'
import { post } from '../support/rest-client.ts'
import { SocketProxy } from '../support/socket-proxy.ts'
import { seedTalk } from '../support/talk.ts'

const site = usePageSite()

test('by the keys alone one gets in, to a setting, and back, and always sees where one is', async () => {
  const page = await site().open(await site().person({ locale: 'de-DE' }))
  await page.getByLabel('Dein Name').waitFor()
  await page.keyboard.type('ann')
  await page.keyboard.press('Enter')
  await page.locator('.shell').waitFor()
  const visited: string[] = []
  for (let step = 0; step < 4; step += 1) {
    await page.keyboard.press('Tab')
    const [name, outline] = (await page.evaluate(`[
      document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent,
      getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).borderTopColor,
    ]`)) as [string, string]
    visited.push(name)
    expect(outline, name).not.toMatch(/^none.*rgba\(0, 0, 0, 0\)$/)
    if (name === 'Einstellungen') break
  }
  expect(visited.at(-1)).toBe('Einstellungen')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { level: 1, name: 'Einstellungen' }).waitFor()
  // Reading goes on at the title of what was opened.
  expect(await page.evaluate('document.activeElement.tagName')).toBe('H1')
})

test.each(['en-XA', 'ar-XB'])(
  'in a language of long words, %s, nothing is cut off or left in English',
  async (language) => {
    const context = await site().person({ viewport: { width: 320, height: 640 } })
    await context.addInitScript(`if (location.protocol === 'http:') localStorage.setItem('language', '${language}')`)
    const page = await site().open(context)
    await page.locator('form').waitFor()
    expect(await page.evaluate('document.documentElement.dir')).toBe(language === 'ar-XB' ? 'rtl' : 'ltr')
    const texts = await page.locator('h1, label, button').allTextContents()
    for (const text of texts) expect(text).toMatch(/^\[.*\]$/)
    expect(await axeViolations(page)).toEqual([])
    expect(await overflows(page)).toEqual([])
  },
)

/** Texts of the page itself, in sight or read out: buttons, headings, and what stands in empty fields. */
const OWN_TEXTS = `[...document.querySelectorAll('button, h1, h2, .day, .new, .offer p, input, textarea, .fail > span, .hint, .banner > span')]
  .filter((element) => element.offsetParent !== null && !element.querySelector('bdi, .avatar, time'))
  .flatMap((element) => [element.getAttribute('aria-label'), element.placeholder, element.children.length === 0 ? element.textContent : null])
  .filter((text) => text)`

test.each([
  ['en-XA', 320],
  ['en-XA', 1100],
  ['ar-XB', 320],
  ['ar-XB', 1100],
])('a talk in a language of long words, %s, %i wide', async (language, width) => {
  const context = await site().person({ viewport: { width, height: 700 } })
  await context.grantPermissions(['notifications'], { origin: site().origin })
  await context.addInitScript(`if (location.protocol === 'http:') localStorage.setItem('language', '${language}')`)
  const link = await PageLink.of(context)
  const me = `${language.toLowerCase()}-${width}`
  await seedTalk(site().service, site().dsn, me)
  const page = await site().open(context)
  await page.getByRole('textbox').fill(me)
  await page.keyboard.press('Enter')
  const expectGood = async (): Promise<void> => {
    for (const text of (await page.evaluate(OWN_TEXTS)) as string[]) expect.soft(text).toMatch(/^\[.*\]$/s)
    expect.soft(await axeViolations(page)).toEqual([])
    expect.soft(await overflows(page)).toEqual([])
  }
  await page.locator('.offer').waitFor()
  await expectGood()
  await page.locator('[data-with="ann.example"]').click()
  await page.locator('[data-message]').last().waitFor()
  link.refuses = true
  await page.locator('textarea').fill('refused')
  await page.locator('.sendb').click()
  await page.locator('[data-state=failed]').waitFor()
  await page.locator('.head .who h1').getByText('Ann Example').waitFor()
  expect.soft(await axeViolations(page)).toEqual([])
  expect.soft(await overflows(page)).toEqual([])
  // What one wrote oneself is at the end of the line, wherever lines end.
  const [mine, theirs] = (await page.evaluate(`['.msg.mine .bubble', '.msg:not(.mine) .bubble'].map((name) => {
    const bubbles = document.querySelectorAll(name)
    return bubbles[bubbles.length - 1].getBoundingClientRect().left
  })`)) as [number, number]
  expect(mine < theirs).toBe(language === 'ar-XB')
  await page.goto(`${site().origin}/settings`)
  await page.locator('.sheet').waitFor()
  await expectGood()
})

test('a page that was here starts without the server, with what was said, and what is typed stays', async () => {
  const context = await site().person({ serviceWorkers: 'allow' })
  const page = await site().open(context)
  await page.getByRole('textbox').fill('ann')
  await page.keyboard.press('Enter')
  await page.locator('.shell').waitFor()
  await page.evaluate('navigator.serviceWorker.ready.then(() => {})')
  for (let n = 1; n <= 60; n += 1)
    await post(site().service, { sender_id: 'bob', receiver_id: 'ann', content: `no. ${n}` })
  await page.locator('[data-with=bob]').getByText('no. 60').waitFor()
  const { origin } = site()
  await site().kill()
  await page.goto(origin)
  await page.locator('[data-with=bob]').getByText('no. 60').waitFor()
  await page.goto(`${origin}/c/bob`)
  // The last fifty are there to be scrolled through.
  await page.locator('[data-seq="60"]').waitFor({ state: 'attached' })
  await page.locator('.log').evaluate((log) => log.scrollTo(0, 0))
  await page.locator('[data-seq="11"]').waitFor({ state: 'attached' })
  await page.locator('textarea').fill('typed without a server')
  await page.locator('textarea').press('Enter')
  await page.locator('[data-state=queued], [data-state=sending]').waitFor()
  expect(site().faults).toEqual([])
})

test('somebody who looks elsewhere is notified once by all their tabs, and until they have read it', async () => {
  await site().start()
  const context = await site().person({ serviceWorkers: 'allow' })
  await context.grantPermissions(['notifications'], { origin: site().origin })
  const page = await site().open(context)
  await page.getByRole('textbox').fill('bob')
  await page.keyboard.press('Enter')
  await page.locator('.shell').waitFor()
  await page.evaluate('navigator.serviceWorker.ready.then(() => {})')
  const second = await site().open(context)
  await second.getByRole('textbox').fill('bob')
  await second.keyboard.press('Enter')
  await second.locator('.shell').waitFor()
  // Another person in the same browser, who does look.
  const other = await site().open(context)
  await other.getByRole('textbox').fill('zoe')
  await other.keyboard.press('Enter')
  await other.locator('.shell').waitFor()
  await post(site().service, { sender_id: 'ann', receiver_id: 'bob', content: 'first' })
  await second.getByRole('button', { name: 'Turn on' }).click()
  const shown = `navigator.serviceWorker.ready.then((registration) => registration.getNotifications())
    .then((list) => list.map(({ title, body, data }) => [title, body, data.path]))`
  expect(await second.evaluate(shown)).toEqual([])
  // Headless pages always have the focus: here nobody looks at any.
  for (const tab of [page, second])
    await tab.evaluate(`document.hasFocus = () => false; dispatchEvent(new Event('blur'))`)
  await post(site().service, { sender_id: 'ann', receiver_id: 'bob', content: 'second' })
  await expect.poll(() => second.evaluate(shown)).toEqual([['ann', 'New message', '/c/ann']])
  // Of the time before, about somebody whom the list does not have yet: nobody has read it.
  await second.evaluate(`navigator.serviceWorker.ready.then((registration) =>
    registration.showNotification('dan', { body: 'pushed', data: { path: '/c/dan', with: 'dan' } }))`)
  await second.evaluate(`document.hasFocus = () => true; dispatchEvent(new Event('focus'))`)
  await second.locator('[data-with=ann]').click()
  await second.locator('textarea').press('a')
  await expect.poll(() => second.evaluate(shown), { timeout: 15_000 }).toEqual([['dan', 'pushed', '/c/dan']])
})

test('a file that is dropped is refused wherever one is, with a word where one writes, and the page stays', async () => {
  const drop = `(() => {
    const dataTransfer = new DataTransfer()
    dataTransfer.items.add(new File(['x'], 'picture.png', { type: 'image/png' }))
    const drop = new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true })
    document.querySelector('main').dispatchEvent(drop)
    return drop.defaultPrevented
  })()`
  const door = await site().open(await site().person())
  await door.getByRole('textbox').waitFor()
  const page = await site().named('dropper', {}, '/settings')
  await page.locator('.sheet').waitFor()
  expect([await door.evaluate(drop), await page.evaluate(drop)]).toEqual([true, true])
  await page.goto(`${site().origin}/c/catcher`)
  await page.locator('textarea').waitFor()
  expect(await page.evaluate(drop)).toBe(true)
  await page.getByRole('alert').getByText('cannot be sent').waitFor()
})

test('a notification that is pressed opens its conversation in a tab of the one it is for', async () => {
  const context = await site().person({ serviceWorkers: 'allow' })
  const [first, second] = [await site().open(context), await site().open(context)]
  for (const [page, name] of [
    [first, 'peter'],
    [second, 'paula'],
  ] as const) {
    await page.getByRole('textbox').fill(name)
    await page.keyboard.press('Enter')
    await page.locator('.shell').waitFor()
    await page.evaluate('navigator.serviceWorker.ready.then(() => {})')
  }
  const press = (of: string): Promise<void> | undefined =>
    context.serviceWorkers()[0]?.evaluate(`{
      const press = new Event('notificationclick')
      // Browsers say which one was pressed; it is not shown here, because nobody could press it.
      Object.assign(press, { notification: { close() {}, data: { path: '/c/ann', with: 'ann', of: '${of}' } }, waitUntil() {} })
      dispatchEvent(press)
    }`)
  await press('paula')
  await second.waitForURL('**/c/ann')
  expect(new URL(first.url()).pathname).toBe('/')
  await press('peter')
  await first.waitForURL('**/c/ann')
})

test('a new version is offered, and taken when the person wants it', async () => {
  const context = await site().person({ serviceWorkers: 'allow' })
  // The address stays while the service behind it is another one.
  const proxy = new SocketProxy(() => site().port)
  onTestFinished(() => proxy.close())
  const port = await proxy.listen()
  const page = await context.newPage()
  await page.goto(`http://127.0.0.1:${port}/`)
  await page.getByRole('textbox').fill('carol')
  await page.keyboard.press('Enter')
  await page.locator('.shell').waitFor()
  await page.evaluate(`new Promise((resolve) => {
    if (navigator.serviceWorker.controller) resolve()
    else navigator.serviceWorker.addEventListener('controllerchange', () => resolve())
  })`)
  await site().update()
  await page.evaluate('navigator.serviceWorker.ready.then((registration) => registration.update()).then(() => {})')
  await page.getByRole('button', { name: 'Reload' }).waitFor()
  // What waits and what is typed goes over into the new one.
  proxy.set('refused')
  await page.getByRole('searchbox').fill('dan')
  await page.locator('nav [href="/c/dan"]').click()
  await page.locator('textarea').fill('waits')
  await page.locator('textarea').press('Enter')
  await page.locator('[data-state=queued], [data-state=sending]').waitFor()
  await page.locator('textarea').fill('half a sen')
  await page.evaluate('globalThis.mark = 1')
  await page.getByRole('button', { name: 'Reload' }).click()
  await expect.poll(() => page.evaluate('globalThis.mark').catch(() => 1)).toBe(undefined)
  await page.locator('[data-state=queued], [data-state=sending]').waitFor()
  expect(await page.locator('textarea').inputValue()).toBe('half a sen')
  expect(await page.getByRole('button', { name: 'Reload' }).count()).toBe(0)
  proxy.set('open')
  await page.locator('[data-state=sent]').waitFor()
  expect(await page.locator('[data-message]').count()).toBe(1)
})
