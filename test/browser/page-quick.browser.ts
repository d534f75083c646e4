// `npm run browser`: how soon the page is there and follows, on a slow phone, without the server, and with much to show.
import type { BrowserContext, Page } from 'playwright-core'
import { beforeEach, expect, test } from 'vitest'
import { useChatSite } from '../support/chat-site.ts'
import { execute } from '../support/databases.ts'
import { post } from '../support/rest-client.ts'
import { TalkTab } from '../support/talk-tab.ts'
import { expectAtMost, note, useReport } from './report.ts'

useReport('page-quick')
const site = useChatSite('built')
beforeEach(() => site().proxy.set('open'))

const HOST = '127.0.0.1'
const FRAME_MS = 16
/** Odd, so that one is in the middle. */
const TIMES = 3
const middle = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0
const enter = (context: BrowserContext, name: string): Promise<TalkTab> =>
  TalkTab.enter(site(), context, { host: HOST, name })

/** Conversations of somebody with people who have written so many messages each. */
const talks = (me: string, people: number, messages: number): string => `
  with c as (
    insert into conversations (user_lo, user_hi, last_seq, last_message_at, updated_at, hi_delivered_seq, hi_read_seq)
    select 'a-' || n, '${me}', ${messages}, now() - n * interval '1 minute', now(), ${messages}, ${messages}
    from generate_series(1, ${people}) n returning conversation_id, user_lo)
  insert into messages (conversation_id, seq, id, sender_id, content, created_at)
  select conversation_id, seq, gen_random_uuid(), user_lo, 'message ' || seq, now() - interval '1 day'
  from c, generate_series(1, ${messages}) seq`

/** For a page that is loaded next: when something was there for the first time, since the page was asked for. */
const SHOWN = {
  field: 'input, textarea',
  composer: 'main textarea:enabled',
  list: 'nav [data-with]',
  messages: '[data-message]',
} as const
type Shown = Readonly<Record<keyof typeof SHOWN, number>>
const NOTES_SHOWN = `globalThis.shown = {}
  const look = () => {
    for (const [name, selector] of Object.entries(${JSON.stringify(SHOWN)}))
      if (!(name in shown) && document.querySelector(selector)) shown[name] = performance.now()
    requestAnimationFrame(look)
  }
  look()`

/** What it was in a page, once it has all of these. */
async function shownIn(page: Page, ...names: readonly (keyof Shown)[]): Promise<Shown> {
  await expect
    .poll(() => page.evaluate(`${JSON.stringify(names)}.every((name) => name in globalThis.shown)`).catch(() => false))
    .toBe(true)
  return page.evaluate<Shown>('shown')
}

/** As a phone of the cheaper kind on its network: https://web.dev/articles/vitals-measurement-getting-started calls it slow 4G. */
async function onSlowPhone(page: Page): Promise<void> {
  const devtools = await page.context().newCDPSession(page)
  const throughput = (1.6 * 1024 * 1024) / 8
  await devtools.send('Network.enable')
  await devtools.send('Network.emulateNetworkConditions', {
    ...{ offline: false, latency: 150, downloadThroughput: throughput, uploadThroughput: throughput / 2 },
  })
  await devtools.send('Emulation.setCPUThrottlingRate', { rate: 4 })
}

async function untilKept(page: Page): Promise<void> {
  await page.evaluate(`new Promise((resolve) => {
    if (navigator.serviceWorker.controller) resolve()
    else navigator.serviceWorker.addEventListener('controllerchange', () => resolve())
  })`)
}

test('on a slow phone the page is soon there, and sooner once it is kept', async () => {
  const [paints, cold, kept]: [number[], number[], number[]] = [[], [], []]
  for (let time = 1; time <= TIMES; time += 1) {
    const context = await site().person()
    await context.addInitScript(NOTES_SHOWN)
    const first = await context.newPage()
    await onSlowPhone(first)
    await first.goto(site().url(HOST, '/'))
    cold.push((await shownIn(first, 'field')).field)
    paints.push(await first.evaluate<number>(`performance.getEntriesByType('paint')[0].startTime`))
    await first.close()
    const before = await enter(context, `phone-${time}`)
    await before.talkTo('somebody')
    await untilKept(before.page)
    await before.page.close()
    const again = await context.newPage()
    await onSlowPhone(again)
    await again.addInitScript(`sessionStorage.setItem('name', 'phone-${time}')`)
    await again.goto(site().url(HOST, '/c/somebody'))
    kept.push((await shownIn(again, 'composer')).composer)
    await again.close()
  }
  expectAtMost('first paint', middle(paints), 1500)
  expectAtMost('one can type', middle(cold), 3000)
  expectAtMost('one can type, of a page that is kept', middle(kept), 1000)
}, 600_000)

test('with a thousand conversations the list follows each message within a frame', async () => {
  await execute(site().dsn, talks('many', 1000, 1))
  const tab = await enter(await site().person(), 'many')
  await tab.until(`document.querySelector('[data-with="a-1"]') !== null`)
  const devtools = await tab.page.context().newCDPSession(tab.page)
  await devtools.send('Performance.enable')
  const busy = async (): Promise<number> => {
    const { metrics } = await devtools.send('Performance.getMetrics')
    return (metrics.find(({ name }) => name === 'ThreadTime')?.value ?? 0) * 1000
  }
  const costs: number[] = []
  for (let n = 1; n <= 41; n += 1) {
    const other = `a-${n * 20}`
    const before = await busy()
    await post({ port: site().port ?? 0 }, { sender_id: other, receiver_id: 'many', content: `news ${n}` })
    await tab.until(`document.querySelector('[data-with="${other}"]')?.textContent.includes('news ${n}')`)
    costs.push((await busy()) - before)
  }
  note('the longest of 41', Math.max(...costs))
  expectAtMost('CPU that one message costs the page, in the middle one of 41', middle(costs), FRAME_MS)
})

test('what is kept is there without the server, and a conversation opens at once', async () => {
  await execute(site().dsn, talks('off', 20, 60))
  const context = await site().person()
  const before = await enter(context, 'off')
  await untilKept(before.page)
  for (let n = 1; n <= 10; n += 1) {
    await before.page.click(`nav [href="/c/a-${n}"]`)
    await before.until(
      `document.querySelector('[data-seq="60"]') !== null && document.querySelector('main h1').textContent === 'a-${n}'`,
    )
  }
  const opened: number[] = []
  for (let n = 1; n <= 9; n += 1)
    opened.push(
      await before.page.evaluate<number>(`new Promise((resolve) => {
        const began = performance.now()
        document.querySelector('nav [href="/c/a-${n}"]').click()
        const look = () => {
          const isThere = document.querySelector('main h1')?.textContent === 'a-${n}' && document.querySelector('[data-seq="60"]')
          if (isThere) resolve(performance.now() - began)
          else requestAnimationFrame(look)
        }
        requestAnimationFrame(look)
      })`),
    )
  expectAtMost('a conversation that was open before, in the middle one of 9', middle(opened), 100)
  await before.page.close()
  site().proxy.set('refused')
  await context.addInitScript(
    `${NOTES_SHOWN}\nif (location.protocol === 'http:') sessionStorage.setItem('name', 'off')`,
  )
  const starts: number[] = []
  for (let time = 1; time <= TIMES; time += 1) {
    const page = await context.newPage()
    await page.goto(site().url(HOST, '/c/a-3'))
    const { list, messages, composer } = await shownIn(page, 'list', 'messages', 'composer')
    starts.push(Math.max(list, messages, composer))
    await page.close()
  }
  expectAtMost('list, messages and field without the server, in the middle one of 3', middle(starts), 1000)
})
