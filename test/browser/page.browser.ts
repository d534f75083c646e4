// `npm run browser`: what the page promises, in full length and with figures. Alone on the machine, or they mean nothing.
import type { BrowserContext } from 'playwright-core'
import { beforeEach, expect, test } from 'vitest'
import { seededRandom } from '../../src/client/testing/index.ts'
import { backlogOf } from '../support/app.ts'
import { useChatSite } from '../support/chat-site.ts'
import { LAN_HOST } from '../support/chromium.ts'
import { execute } from '../support/databases.ts'
import { post } from '../support/rest-client.ts'
import { TalkTab } from '../support/talk-tab.ts'
import { expectAtMost, note, useReport } from './report.ts'

useReport('page')
const site = useChatSite('built')
beforeEach(() => site().proxy.set('open'))

const TRUSTED_HOST = '127.0.0.1'
const SECOND_MS = 1000
/** Odd, so that one is in the middle. */
const ROUNDS = 3
const TYPED = 'this is typed one key after the other, more than fifty of them. '
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const enter = (context: BrowserContext, name: string, host = TRUSTED_HOST): Promise<TalkTab> =>
  TalkTab.enter(site(), context, { host, name })
const target = (): { port: number } => ({ port: site().port ?? 0 })

/** What is shown from the first message to the last is what is stored. */
async function expectAllShown(tab: TalkTab, user: string, other: string): Promise<void> {
  const stored = await site().stored(user, other)
  // An own message may be shown a moment before what lies below it has come.
  await expect
    .poll(() => tab.readAll(), { timeout: 20 * SECOND_MS, interval: 500 })
    .toEqual(stored.map(({ seq, content }) => `${seq} ${content}`))
}

test('ten seconds after the service is ready two people have talked', async () => {
  const contexts = [await site().person(), await site().person()]
  await site().kill()
  await site().start()
  const since = performance.now()
  const [first, second] = await Promise.all([
    enter(contexts[0] as BrowserContext, 'newcomer'),
    enter(contexts[1] as BrowserContext, 'neighbour'),
  ])
  await first.talkTo('neighbour')
  await first.say('Hello')
  await second.page.click('nav [href="/c/newcomer"]')
  await second.untilRows(1, 'received')
  expectAtMost('from ready to the first message on the screen of another', performance.now() - since, 10_000)
})

/** As fast as one reads nothing any more: at 60 frames a second about 130 messages. */
const STEP_PX = 120

interface Scrolled {
  readonly fps: number
  /** Of the thread that the page runs on, CPU time: the same on a machine that others use as well. */
  readonly cpuMs: number
  readonly longestMs: number
  /** The most at a time. */
  readonly rows: number
  readonly blankMs: number
  readonly moved: number
  /** How many messages have been there. */
  readonly seen: number
  readonly seconds: number
}

/** What is moved before a frame is drawn, as by an observer of sizes, nobody sees. */
const ONCE_SHOWN = 'const onceShown = (look) => requestAnimationFrame(() => setTimeout(look))'

/** Scrolls by a step with each frame until this message is in sight: up, or down if `step` is negative. */
async function scrollTo(tab: TalkTab, seq: number, step: number): Promise<Scrolled> {
  const devtools = await tab.page.context().newCDPSession(tab.page)
  await devtools.send('Performance.enable')
  const used = async (): Promise<number> => {
    const { metrics } = await devtools.send('Performance.getMetrics')
    return (metrics.find(({ name }) => name === 'ThreadTime')?.value ?? 0) * SECOND_MS
  }
  const before = await used()
  const scrolled = await tab.page.evaluate<Scrolled>(`
    new Promise((resolve) => {
      ${ONCE_SHOWN}
      const log = document.querySelector('.log')
      const rowsNow = () => [...document.querySelectorAll('[data-message]')]
      const inSight = (row) => { const { top, bottom } = row.getBoundingClientRect(); return bottom > 70 && top < innerHeight - 70 }
      // By a step, or not at all where the end of what is loaded has been reached.
      const strayed = (by) => Math.min(Math.abs(by - ${step}), Math.abs(by))
      const room = () => ${step} > 0 ? log.scrollTop : log.scrollHeight - log.clientHeight - log.scrollTop
      const began = performance.now()
      const seen = new Set()
      let [frames, rows, blankMs, moved, last, anchor, before, longestMs] = [0, 0, 0, 0, began, undefined, began, 0]
      const look = () => {
        const now = performance.now()
        const all = rowsNow()
        for (const row of all) seen.add(row.dataset.seq)
        longestMs = Math.max(longestMs, now - before)
        before = now
        rows = Math.max(rows, all.length)
        if (!all.some(inSight)) blankMs = Math.max(blankMs, now - last)
        else last = now
        if (anchor) {
          const same = all.find((row) => row.dataset.seq === anchor.seq)
          if (same) moved = Math.max(moved, strayed(same.getBoundingClientRect().top - anchor.top))
        }
        frames += 1
        if (all.some((row) => row.dataset.seq === '${seq}' && inSight(row))) {
          const seconds = (now - began) / 1000
          return resolve({ fps: frames / seconds, longestMs, rows, blankMs, moved, seen: seen.size, seconds })
        }
        const row = all.find(inSight)
        anchor = room() > ${Math.abs(step)} && row ? { seq: row.dataset.seq, top: row.getBoundingClientRect().top } : undefined
        log.scrollTop -= ${step}
        onceShown(look)
      }
      onceShown(look)
    })`)
  return { ...scrolled, cpuMs: ((await used()) - before) / (scrolled.fps * scrolled.seconds) }
}

function expectSmooth(
  way: string,
  { fps, cpuMs, longestMs, rows, blankMs, moved, seen, seconds }: Scrolled,
  count: number,
): void {
  note(`${way}, all of the way`, seconds, 's')
  note(`${way}, the longest time between two frames`, longestMs)
  note(`${way}, CPU of the page for one frame, of 16.7`, cpuMs)
  expectAtMost(`${way}, frames missing in a second, of 60`, 60 - fps, 5, 'frames')
  expectAtMost(`${way}, rows in the document`, rows, 80, 'rows')
  expectAtMost(`${way}, nothing in sight`, blankMs, 100)
  expectAtMost(`${way}, a visible row moves otherwise than it is scrolled`, moved, 1, 'px')
  expectAtMost(`${way}, messages that were never there`, count - seen, 0, 'messages')
}

test('ten thousand messages are scrolled through, up as they are fetched and down again', async () => {
  const count = 10_000
  await execute(site().dsn, backlogOf('author', 'scroller', count))
  // Long ago, and read on another device: what lies above is fetched as one scrolls up to it.
  await execute(site().dsn, `update conversations set hi_delivered_seq = ${count}, hi_read_seq = ${count}`)
  const tab = await enter(await site().person(), 'scroller')
  await tab.page.click('nav [href="/c/author"]')
  await tab.until(`document.querySelector('[data-seq="${count}"]') !== null`)
  expectSmooth('up', await scrollTo(tab, 1, STEP_PX), count)
  expectSmooth('down', await scrollTo(tab, count, -STEP_PX), count)
  const devtools = await tab.page.context().newCDPSession(tab.page)
  await devtools.send('HeapProfiler.collectGarbage')
  const { usedSize } = await devtools.send('Runtime.getHeapUsage')
  expectAtMost('heap with all of them', usedSize / 2 ** 20, 60, 'MB')
}, 600_000)

test('what is seen stays where it is when older ones come above the first row, which loses the name of its day', async () => {
  await execute(site().dsn, backlogOf('elder', 'younger', 2000))
  await execute(site().dsn, 'update conversations set hi_delivered_seq = last_seq, hi_read_seq = last_seq')
  const tab = await enter(await site().person(), 'younger')
  await tab.page.click('nav [href="/c/elder"]')
  await tab.until(`document.querySelector('[data-seq="2000"]') !== null`)
  const moved = await tab.page.evaluate<number>(`
    new Promise((resolve, reject) => {
      ${ONCE_SHOWN}
      const log = document.querySelector('.log')
      let [first, top, moved, framesLeft] = [undefined, 0, 0, 10]
      const began = performance.now()
      const look = () => {
        const rows = [...document.querySelectorAll('[data-message]')]
        if (performance.now() - began > 20_000) return reject(new Error('nothing older has come'))
        if (first === undefined) {
          // The first that is loaded, if it is there before older ones have come.
          if (log.scrollTop === 0 && rows[0]?.previousElementSibling?.className === 'day') first = rows[0].dataset.seq
          log.scrollTop = 0
        } else if (rows[0].dataset.seq !== first) framesLeft -= 1
        const bubble = rows.find((row) => row.dataset.seq === first)?.querySelector('.bubble')
        if (bubble) {
          const now = bubble.getBoundingClientRect().top
          if (top !== 0) moved = Math.max(moved, Math.abs(now - top))
          top = now
        }
        if (framesLeft === 0) resolve(moved)
        else onceShown(look)
      }
      onceShown(look)
    })`)
  expectAtMost('what is seen moves when older ones come', moved, 1, 'px')
})

/** Fifty messages a second, until the function that it returns is called. */
function flood(): () => Promise<void> {
  let isOver = false
  const done = (async () => {
    for (let n = 1; !isOver; n += 1) {
      void post(target(), { sender_id: 'flood', receiver_id: 'typist', content: `message ${n}` })
      await pause(20)
    }
  })()
  return async () => {
    isOver = true
    await done
  }
}

test('keys are answered while fifty messages come in a second, on a machine a quarter as fast', async () => {
  const tab = await enter(await site().person(), 'typist')
  await tab.talkTo('flood')
  const devtools = await tab.page.context().newCDPSession(tab.page)
  // What stands below the edge of the window is never drawn, and a window is smaller than the page by what stands around that.
  const { windowId } = await devtools.send('Browser.getWindowForTarget')
  await devtools.send('Browser.setWindowBounds', { windowId, bounds: { width: 1600, height: 1000 } })
  await devtools.send('Emulation.setCPUThrottlingRate', { rate: 4 })
  // As https://web.dev/articles/inp counts: of every fifty interactions the longest is left out.
  await tab.page.evaluate(`{
    const longest = new Map()
    new PerformanceObserver((list) => {
      for (const { duration, interactionId: id } of list.getEntries())
        if (id) longest.set(id, Math.max(longest.get(id) ?? 0, duration))
    }).observe({ type: 'event', durationThreshold: 16 })
    globalThis.takeInp = (keys) => {
      const all = [...longest.values()].sort((a, b) => b - a)
      longest.clear()
      return all[Math.floor(keys / 50)] ?? 0
    }
  }`)
  const typed = async (what: string): Promise<number> => {
    await tab.page.type('main textarea', what, { delay: 180 })
    return tab.page.evaluate<number>(`takeInp(${what.length})`)
  }
  const rounds: number[] = []
  for (let round = 1; round <= ROUNDS; round += 1) {
    note(`round ${round}, from a key to what it shows while nothing comes`, await typed(TYPED))
    const end = flood()
    rounds.push(await typed(TYPED))
    await end()
    note(`round ${round}, while they come`, rounds.at(-1) ?? 0)
  }
  expectAtMost(
    'from a key to what it shows, in the middle one of the rounds',
    rounds.toSorted((a, b) => a - b)[ROUNDS >> 1] ?? 0,
    200,
  )
})

test('two minutes without a network: what was said meanwhile is there within five seconds', async () => {
  const context = await site().person()
  const [away, home] = [await enter(context, 'away'), await enter(await site().person(), 'home')]
  await away.talkTo('home')
  await home.talkTo('away')
  await away.say('leaving')
  await home.untilRows(1, 'received')
  await context.setOffline(true)
  for (let n = 1; n <= 50; n += 1) {
    await home.say(`meanwhile ${n}`)
    if (n % 10 === 0) await away.say(`from the train ${n / 10}`)
    await pause(2400)
  }
  expect(await away.page.textContent('.banner')).toContain('offline')
  const since = performance.now()
  await context.setOffline(false)
  await away.until(`document.querySelector('[data-message][data-seq="56"]') !== null`)
  expectAtMost('everything is there after the network has come back', performance.now() - since, 5000)
  await home.until(`document.querySelector('[data-message][data-seq="56"]') !== null`)
  await expectAllShown(away, 'away', 'home')
  await expectAllShown(home, 'home', 'away')
})

test('three people in two tabs each, over a minute of faults', async () => {
  const seed = Number(process.env['SEED'] ?? 20_261_130)
  const random = seededRandom(seed)
  const upTo = (count: number): number => Math.floor(random() * count)
  const names = ['fuzz-a', 'fuzz-b', 'fuzz-c']
  const tabs: { tab: TalkTab; me: string; other: string }[] = []
  for (const me of names) {
    const context = await site().person()
    for (const other of names.filter((name) => name !== me)) {
      const tab = await enter(context, me, LAN_HOST)
      await tab.talkTo(other)
      tabs.push({ tab, me, other })
    }
  }
  const until = performance.now() + 60 * SECOND_MS
  let said = 0
  while (performance.now() < until) {
    const chosen = tabs[upTo(tabs.length)]
    const dice = random()
    if (dice < 0.86) {
      said += 1
      await chosen?.tab.say(`${chosen.me} says ${said}`)
    } else if (dice < 0.92)
      site().proxy.set((['silent', 'mute', 'refused', 'open', 'open'] as const)[upTo(5)] ?? 'open')
    else if (dice < 0.97) await chosen?.tab.page.reload()
    else {
      await site().kill()
      await site().start()
    }
    if (dice >= 0.92) for (const { tab } of tabs) await tab.page.waitForSelector('main textarea')
    await pause(upTo(200))
  }
  site().proxy.set('open')
  for (const { tab } of tabs)
    await tab.until(`!document.querySelector('[data-state=queued], [data-state=sending], .banner')`, 90 * SECOND_MS)
  // Now everybody has sent all that they have said.
  for (const { tab, me, other } of tabs) {
    const last = (await site().stored(me, other)).at(-1)?.seq
    await tab.until(`document.querySelector('[data-message][data-seq="${last}"]') !== null`, 90 * SECOND_MS)
    await expectAllShown(tab, me, other)
  }
  const stored = await Promise.all(
    [
      ['fuzz-a', 'fuzz-b'],
      ['fuzz-a', 'fuzz-c'],
      ['fuzz-b', 'fuzz-c'],
    ].map(([a = '', b = '']) => site().stored(a, b)),
  )
  const contents = stored.flat().map(({ content }) => content)
  expect(new Set(contents).size).toBe(contents.length)
  expect(contents.length).toBe(said)
  note(`messages of the fuzz, seed ${seed}`, said, 'messages')
}, 300_000)
