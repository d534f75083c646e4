// `npm run browser`: what the SDK promises in a page, in full length and with figures. Alone on the machine, or they mean nothing.
import type { BrowserContext } from 'playwright-core'
import { beforeEach, describe, expect, test } from 'vitest'
import { seededRandom } from '../../src/client/testing/index.ts'
import { backlogOf } from '../support/app.ts'
import { type ChatTab, useChatSite } from '../support/chat-site.ts'
import { LAN_HOST } from '../support/chromium.ts'
import { execute } from '../support/databases.ts'
import { get, post } from '../support/rest-client.ts'
import { expectAtMost, note, useReport } from './report.ts'

useReport('sdk')
const site = useChatSite()
beforeEach(() => site().proxy.set('open'))

const TRUSTED_HOST = '127.0.0.1'
const HEARTBEAT_MS = 32_000
const numbered = (word: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${word} ${index + 1}`)

/** Adds to what `from` has written, by SQL. `from` is before `to` in the order of names. */
const further = (from: string, to: string, last: number): string => `
  with c as (
    update conversations set last_seq = ${last}, last_message_at = now(), updated_at = now(),
      lo_delivered_seq = ${last}, lo_read_seq = ${last}
    where user_lo = '${from}' and user_hi = '${to}' returning conversation_id)
  insert into messages (conversation_id, seq, id, sender_id, content, created_at)
  select conversation_id, seq, gen_random_uuid(), '${from}', rpad(seq::text, 200, '.'), now()
  from c, generate_series(2, ${last}) seq`

test('ten thousand missed messages of twenty conversations', async () => {
  const [conversations, each] = [20, 500]
  const context = await site().person()
  const who = { host: TRUSTED_HOST, user: 'returning', with: 'friend-7' }
  const friends = Array.from({ length: conversations }, (_, index) => `friend-${index}`)
  const delivered = async (): Promise<unknown[]> => {
    const { body } = await get({ port: site().port ?? 0 }, '/api/conversations?user_id=returning&limit=100')
    const list = (body?.['conversations'] ?? []) as { delivered_seq: number }[]
    return list.map(({ delivered_seq }) => delivered_seq)
  }
  const areAll = (seq: number): number[] => friends.map(() => seq)
  for (const friend of friends) await execute(site().dsn, backlogOf(friend, 'returning', 1))
  const before = await site().open(context, who)
  await before.untilState('live')
  await expect.poll(delivered, { timeout: 60_000 }).toEqual(areAll(1))
  await before.page.close()
  await site().kill()
  for (const friend of friends) await execute(site().dsn, further(friend, 'returning', each + 1))
  await site().start()
  const tab = await site().open(context, who)
  await tab.until(`chat.told === ${conversations * each}`)
  await tab.untilRows(each + 1, 'received')
  expectAtMost(
    'the newest message of the open conversation is shown',
    await tab.number(`chat.newest[${each + 1}]`),
    1000,
  )
  expectAtMost('all messages are there', await tab.number('chat.toldAt'), 4000)
  expectAtMost('longest task', await tab.number('Math.max(0, ...chat.longTasks)'), 50)
  expect(await tab.faults()).toEqual([])
  await expect.poll(delivered, { timeout: 60_000 }).toEqual(areAll(each + 1))
  note('all messages are kept and acknowledged', await tab.number('performance.now() - chat.startedAt'))
  await tab.page.reload()
  await tab.until(`chat.rows().at(-1)?.seq === '${each + 1}'`)
  expectAtMost('the newest message is shown after a reload', await tab.number(`chat.newest[${each + 1}]`), 1000)
})

describe('a link that is dead and looks open', () => {
  /** Milliseconds from now until the page says that it has no connection. */
  async function noticedAfter(tab: ChatTab, wake = ''): Promise<number> {
    return tab.page.evaluate(`new Promise((resolve) => {
      const since = performance.now()
      chat.client.status.subscribe(() => resolve(performance.now() - since))
      ${wake}
    })`)
  }

  test('is noticed when the machine wakes', async () => {
    for (const wake of [
      `document.dispatchEvent(new Event('resume'))`,
      `dispatchEvent(new Event('online'))`,
      `document.dispatchEvent(new Event('visibilitychange'))`,
    ]) {
      const tab = await site().open(await site().person(), { host: TRUSTED_HOST, user: 'sleeper', with: 'ben' })
      await tab.untilState('live')
      site().proxy.set('silent')
      expectAtMost(`a dead link is noticed after ${wake}`, await noticedAfter(tab, wake), 2550)
      site().proxy.set('open')
      await tab.untilState('live')
    }
  })

  test('is noticed by a page that somebody looks at', async () => {
    const tab = await site().open(await site().person(), { host: TRUSTED_HOST, user: 'reader', with: 'ben' })
    await tab.untilState('live')
    site().proxy.set('silent')
    expectAtMost('a dead link is noticed without any event', await noticedAfter(tab), HEARTBEAT_MS + 5000)
  })
})

test('what came while the network was away is shown within five seconds, though the next attempt was not due yet', async () => {
  const context = await site().person()
  const tab = await site().open(context, { host: TRUSTED_HOST, user: 'traveller', with: 'amy' })
  await tab.untilState('live')
  // An answer that is on its way when the network goes would let the page believe in its connection for some seconds more.
  site().proxy.set('silent')
  await context.setOffline(true)
  await tab.untilState('offline')
  for (const content of numbered('missed', 50))
    await post({ port: site().port ?? 0 }, { sender_id: 'amy', receiver_id: 'traveller', content })
  await tab.until('chat.client.status.get().until - Date.now() > 5000')
  site().proxy.set('open')
  const before = await tab.number('performance.now()')
  await context.setOffline(false)
  await tab.untilRows(50, 'received')
  const shownAt = await tab.number('chat.startedAt + Math.max(chat.toldAt, chat.newest[50])')
  expectAtMost('fifty missed messages are shown after the network is back', shownAt - before, 5000)
  expect((await tab.rows()).map(({ content }) => content)).toEqual(numbered('missed', 50))
  expect(await tab.faults()).toEqual([])
})

test('what is typed around twenty reconnects is on the screen once at every moment', async () => {
  const user = 'talker'
  const tab = await site().open(await site().person(), { host: TRUSTED_HOST, user, with: 'amy' })
  await tab.untilState('live')
  for (let round = 1; round <= 20; round += 1) {
    // Every other message is stored, and its reply lost.
    site().proxy.set(round % 2 ? 'mute' : 'silent')
    const committed = round % 2 ? site().proxy.withheld('"sent"') : undefined
    await tab.sendAll([`before ${round}`])
    await committed
    site().proxy.set('refused')
    await tab.until(`chat.client.status.get().state !== 'live'`)
    await post({ port: site().port ?? 0 }, { sender_id: 'amy', receiver_id: user, content: `meanwhile ${round}` })
    site().proxy.set('open')
    await tab.page.evaluate('chat.client.connect()')
    await tab.sendAll([`after ${round}`])
    await tab.untilRows(3 * round, 'sent', 'received')
  }
  expect(await tab.faults()).toEqual([])
  const stored = await site().stored(user, 'amy')
  expect((await tab.rows()).map(({ id }) => id)).toEqual(stored.map(({ id }) => id))
  for (const word of ['before', 'meanwhile', 'after'])
    expect(stored.map(({ content }) => content).filter((content) => content.startsWith(word))).toEqual(
      numbered(word, 20),
    )
})

describe('storage that fails', () => {
  /** Starts without storage, receives and sends; a later visit has everything. */
  async function worksInMemory(context: BrowserContext, user: string, why: string): Promise<ChatTab> {
    const tab = await site().open(context, { host: TRUSTED_HOST, user, with: 'amy' })
    await tab.untilState('live')
    expectAtMost(`a page is live, ${why}`, await tab.number('chat.times.live'), 3500)
    await post({ port: site().port ?? 0 }, { sender_id: 'amy', receiver_id: user, content: 'hello' })
    await tab.untilRows(1, 'received')
    await tab.sendAll(['answer'])
    await tab.untilRows(2, 'received', 'sent')
    await tab.until(`chat.client.storage.get().kind === 'memory'`)
    expect(await tab.faults()).toEqual([])
    return tab
  }

  async function hasAll(tab: ChatTab, user: string): Promise<void> {
    await tab.untilRows(2, 'received', 'sent')
    const stored = await site().stored(user, 'amy')
    expect((await tab.rows()).map(({ content }) => content)).toEqual(['hello', 'answer'])
    expect(stored.map(({ content }) => content)).toEqual(['hello', 'answer'])
  }

  test('because there is none', async () => {
    const context = await site().person()
    await context.addInitScript(`Object.defineProperty(globalThis, 'indexedDB', { value: undefined })`)
    const tab = await worksInMemory(context, 'without', 'without IndexedDB')
    await tab.page.reload()
    await hasAll(tab, 'without')
  })

  test('because to look at it is forbidden', async () => {
    const context = await site().person()
    await context.addInitScript(`IDBFactory.prototype.open = () => { throw new DOMException('no', 'SecurityError') }`)
    const tab = await worksInMemory(context, 'forbidden', 'with IndexedDB forbidden')
    await tab.page.reload()
    await hasAll(tab, 'forbidden')
  })

  test('because another tab blocks it', async () => {
    const context = await site().person()
    const visit = await site().open(context, { host: TRUSTED_HOST, user: 'blocked', with: 'amy' })
    await visit.untilState('live')
    await visit.page.close()
    const blocker = await site().openBlocker(context, TRUSTED_HOST)
    const tab = await worksInMemory(context, 'blocked', 'with IndexedDB blocked')
    await blocker.close()
    await tab.page.reload()
    await tab.until(`chat.client.storage.get().kind === 'persistent'`)
    await hasAll(tab, 'blocked')
  })

  test('because the disk is full', async () => {
    const context = await site().person()
    const blank = await site().openBlank(context, TRUSTED_HOST)
    const { origin } = new URL(blank.url())
    const devtools = await context.newCDPSession(blank)
    await devtools.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 1 })
    const tab = await worksInMemory(context, 'full', 'with a full disk')
    await devtools.send('Storage.overrideQuotaForOrigin', { origin })
    await tab.page.reload()
    await hasAll(tab, 'full')
  })
})

describe('storage that is damaged', () => {
  const say = (user: string, content: string): Promise<unknown> =>
    post({ port: site().port ?? 0 }, { sender_id: 'amy', receiver_id: user, content })

  /** Everything is there after a reload, and on the disk again. */
  async function isWhole(tab: ChatTab, ...contents: readonly string[]): Promise<void> {
    await tab.page.reload()
    await tab.untilState('live')
    expectAtMost('a page is live, with a storage that was damaged', await tab.number('chat.times.live'), 3500)
    // As a page does whose list leaves room.
    await tab.page.evaluate(`chat.client.conversation('amy').loadOlder()`)
    await tab.untilRows(contents.length, 'received', 'sent')
    expect((await tab.rows()).map(({ content }) => content)).toEqual(contents)
    expect(await tab.number(`chat.client.storage.get().kind === 'persistent'`)).toBe(1)
    expect(await tab.faults()).toEqual([])
  }

  test('because the browser ends a transaction in the middle', async () => {
    const user = 'torn'
    const context = await site().person()
    await context.addInitScript(`
      const { put } = IDBObjectStore.prototype
      globalThis.torn = 0
      IDBObjectStore.prototype.put = function (row) {
        const request = put.call(this, row)
        if (this.name === 'messages' && torn === 0) {
          torn += 1
          this.transaction.abort()
        }
        return request
      }`)
    const tab = await site().open(context, { host: TRUSTED_HOST, user, with: 'amy' })
    await tab.untilState('live')
    await say(user, 'one')
    await tab.sendAll(['two'])
    await tab.untilRows(2, 'received', 'sent')
    await tab.until('torn === 1')
    await isWhole(tab, 'one', 'two')
  })

  test('because the browser takes it away from a page that is open', async () => {
    const user = 'cleared'
    const context = await site().person()
    const tab = await site().open(context, { host: TRUSTED_HOST, user, with: 'amy' })
    await tab.untilState('live')
    await say(user, 'one')
    await tab.untilRows(1, 'received')
    const devtools = await context.newCDPSession(tab.page)
    const { origin } = new URL(tab.page.url())
    await devtools.send('Storage.clearDataForOrigin', { origin, storageTypes: 'indexeddb' })
    await tab.sendAll(['two'])
    await say(user, 'three')
    await tab.untilRows(3, 'received', 'sent')
    await isWhole(tab, 'one', 'two', 'three')
  })

  test('because its rows are broken', async () => {
    const user = 'broken'
    const context = await site().person()
    const tab = await site().open(context, { host: TRUSTED_HOST, user, with: 'amy' })
    await tab.untilState('live')
    for (const content of ['one', 'two', 'three']) await say(user, content)
    await tab.untilRows(3, 'received')
    await tab.page.close()
    const blank = await site().openBlank(context, TRUSTED_HOST)
    await blank.evaluate(`(async () => {
      const [{ name }] = await indexedDB.databases()
      const database = await new Promise((resolve) => {
        const opening = indexedDB.open(name)
        opening.onsuccess = () => resolve(opening.result)
      })
      const stores = ['messages', 'conversations', 'outbox', 'drafts']
      const transaction = database.transaction(stores, 'readwrite')
      const put = (store, row) => transaction.objectStore(store).put(row)
      put('messages', { with: 'amy', seq: 2, content: 7 })
      put('conversations', { with: 'zed', ranges: 'none' })
      put('outbox', { id: 'x', with: 'amy', content: 'of nobody', n: NaN, at: 1 })
      put('drafts', { with: 'amy', text: 7 })
      await new Promise((resolve) => { transaction.oncomplete = resolve })
      database.close()
    })()`)
    await blank.close()
    const again = await site().open(context, { host: TRUSTED_HOST, user, with: 'amy' })
    await again.untilRows(3, 'received')
    await isWhole(again, 'one', 'two', 'three')
  })
})

test('a page in the back/forward cache has said goodbye, and is there again when it is shown', async () => {
  const tab = await site().open(await site().person(), { host: TRUSTED_HOST, user: 'back', with: 'amy' })
  await tab.untilState('live')
  await tab.page.evaluate(`globalThis.mark = 'the same page'
    addEventListener('pageshow', ({ persisted }) => { globalThis.wasKept = persisted })`)
  const address = tab.page.url()
  const closed = site().proxy.closed()
  await tab.page.goto(new URL('/healthz', address).href)
  expect(await closed).toBe(1000)
  await tab.page.evaluate('void setTimeout(() => history.back())')
  await tab.page.waitForURL(address, { waitUntil: 'commit' })
  await tab.untilState('live')
  expect(await tab.page.evaluate('[globalThis.mark, globalThis.wasKept]')).toEqual(['the same page', true])
})

test.each([TRUSTED_HOST, LAN_HOST])(
  'on %s a tab that crashes leaves nothing unsent, and nothing is sent twice',
  async (host) => {
    const user = `tabs-${host}`
    const context = await site().person()
    const tabs: ChatTab[] = []
    for (let count = 0; count < 3; count += 1) tabs.push(await site().open(context, { host, user, with: 'amy' }))
    for (const tab of tabs) await tab.untilState('live')
    const [first, second, third] = tabs as [ChatTab, ChatTab, ChatTab]
    site().proxy.set('refused')
    await Promise.all(tabs.map((tab, index) => tab.sendAll(numbered(`tab ${index} wrote`, 10))))
    const crashed = second.page.waitForEvent('crash')
    // Its answer never comes.
    void (await context.newCDPSession(second.page)).send('Page.crash').catch(() => undefined)
    await crashed
    site().proxy.set('open')
    for (const tab of [first, third]) await tab.untilRows(30, 'sent')
    const stored = (await site().stored(user, 'amy')).map(({ content }) => content)
    for (const index of [0, 1, 2])
      expect(stored.filter((content) => content.startsWith(`tab ${index}`))).toEqual(numbered(`tab ${index} wrote`, 10))
    expect(stored).toHaveLength(30)
    for (const tab of [first, third]) {
      expect((await tab.rows()).map(({ content }) => content)).toEqual(stored)
      expect(await tab.faults()).toEqual([])
    }
  },
)

test.each([TRUSTED_HOST, LAN_HOST])(
  'on %s two people with two tabs each agree after a minute of faults',
  async (host) => {
    const random = seededRandom(19_777)
    const [amy, ben] = [await site().person(), await site().person()]
    const open = (context: BrowserContext): Promise<ChatTab> => {
      const [user, other] = context === amy ? ['fuzz-amy', 'fuzz-ben'] : ['fuzz-ben', 'fuzz-amy']
      return site().open(context, { host, user: user + host, with: other + host })
    }
    const tabs = await Promise.all([amy, amy, ben, ben].map(open))
    const typed: string[] = []
    const until = Date.now() + 60_000
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
    while (Date.now() < until) {
      const index = Math.floor(random() * tabs.length)
      const tab = tabs[index] as ChatTab
      const dice = random()
      if (dice < 0.6) {
        const content = `${host} ${typed.length + 1}`
        typed.push(content)
        await tab.sendAll([content])
      } else if (dice < 0.85) site().proxy.set(pick(['open', 'open', 'silent', 'mute', 'refused'] as const))
      else if (dice < 0.93) await tab.page.reload()
      else if (dice < 0.96) {
        await site().kill()
        await site().start()
      } else {
        await tab.page.close()
        tabs[index] = await open(index < 2 ? amy : ben)
      }
      await new Promise((resolve) => setTimeout(resolve, random() * 400))
    }
    site().proxy.set('open')
    for (const tab of tabs) {
      await tab.page.evaluate(`document.dispatchEvent(new Event('resume'))`)
      await tab.untilState('live')
      await tab.until('chat.client.pending.get() === 0')
    }
    const stored = await site().stored(`fuzz-amy${host}`, `fuzz-ben${host}`)
    expect(stored.map(({ content }) => content).toSorted()).toEqual(typed.toSorted())
    for (const tab of tabs) {
      await tab.until(`chat.rows().at(-1)?.seq === '${stored.length}'`)
      const shown = (await tab.rows()).map(({ id }) => id)
      // After a reload it shows the newest fifty and what came since.
      expect(shown.length).toBeGreaterThanOrEqual(Math.min(50, stored.length))
      expect(shown).toEqual(stored.slice(-shown.length).map(({ id }) => id))
      expect(await tab.faults()).toEqual([])
    }
  },
)
