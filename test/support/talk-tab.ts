// One tab with the page that people get, used as they use it: by its fields, its keys, and what it shows.
import type { BrowserContext, Page } from 'playwright-core'
import type { ChatSite, ShownRow } from './chat-site.ts'
import { within } from './deadline.ts'

export class TalkTab {
  readonly page: Page
  /** What the page or the browser complained about. */
  readonly complaints: string[] = []

  constructor(page: Page) {
    this.page = page
    page.on('pageerror', (error) => this.complaints.push(String(error)))
    page.on('console', (message) => {
      // Of the browser itself: that a server is away, and that plain http is not to be trusted.
      if (message.type() === 'error' && !/ERR_|WebSocket|Cross-Origin-Opener-Policy/.test(message.text()))
        this.complaints.push(message.text())
    })
  }

  /** Comes to the page for the first time, and says who it is. */
  static async enter(
    site: Pick<ChatSite, 'url'>,
    context: BrowserContext,
    who: { host: string; name: string },
  ): Promise<TalkTab> {
    const tab = new TalkTab(await context.newPage())
    await tab.page.goto(site.url(who.host, '/'))
    await tab.page.fill('input[autocomplete=username]', who.name)
    await tab.page.keyboard.press('Enter')
    await tab.page.waitForSelector('nav input[type=search]')
    return tab
  }

  /** Opens the conversation with somebody by searching for them. */
  async talkTo(name: string): Promise<void> {
    await this.page.fill('nav input[type=search]', name)
    await this.page.click(`nav [href="/c/${name}"]`)
    await this.page.waitForSelector('main textarea')
  }

  async say(text: string): Promise<void> {
    await this.page.fill('main textarea', text)
    await this.page.press('main textarea', 'Enter')
  }

  /** The messages that are there to be read, in the order that they are seen. */
  rows(): Promise<ShownRow[]> {
    return this.page.evaluate(`[...document.querySelectorAll('[data-message]')]
      .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
      .map((row) => ({
        id: row.dataset.message,
        seq: row.dataset.seq ?? '',
        state: row.dataset.state,
        content: row.querySelector('.text').firstChild.textContent,
      }))`)
  }

  /** `seq content` of every message that is stored, from the first to the last: scrolls through all of them. */
  readAll(): Promise<string[]> {
    return this.page.evaluate(`new Promise((resolve) => {
      const log = document.querySelector('.log')
      const all = new Map()
      let idle = 0
      let settling = 20
      const step = () => {
        // From the end on, which moves while rows are measured.
        if (settling > 0) {
          settling -= 1
          log.scrollTop = log.scrollHeight
          return requestAnimationFrame(step)
        }
        const size = all.size
        for (const row of log.querySelectorAll('[data-seq]'))
          all.set(Number(row.dataset.seq), row.querySelector('.text').firstChild.textContent)
        idle = all.size > size || log.scrollTop > 0 ? 0 : idle + 1
        // Older ones may still be on their way when the first one is in sight.
        if (idle > 90 || all.has(1)) return resolve([...all].sort(([a], [b]) => a - b).map((entry) => entry.join(' ')))
        log.scrollTop -= 200
        requestAnimationFrame(step)
      }
      step()
    })`)
  }

  /** Resolves when so many messages are there, all of them in one of these states. */
  async untilRows(count: number, ...states: readonly string[]): Promise<void> {
    const isWanted = `(row) => ${JSON.stringify(states)}.includes(row.dataset.state)`
    await this.until(
      `(rows => rows.length === ${count} && rows.every(${isWanted}))([...document.querySelectorAll('[data-message]')])`,
    )
  }

  /** Resolves when a JavaScript expression is true in the page, whose policy forbids to hand one to a script of its own. */
  async until(expression: string, limitMs?: number): Promise<void> {
    const look = `const look = () => ((${expression}) ? resolve() : setTimeout(look, 20)); look()`
    const found = this.page.evaluate(`new Promise((resolve) => { ${look} })`)
    await within(found, () => expression, limitMs).catch(async (error: unknown) => {
      throw new Error(
        `${String(error)}\n${JSON.stringify([await this.rows(), this.complaints])}\n${await this.page.textContent('body')}`,
      )
    })
  }
}
