// The compiled service with the bundle of the SDK and a test page, as a browser comes to it, behind links that break.
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import { placeBuilt } from './built-files.ts'
import { BROWSER_START_LIMIT_MS, LAN_HOST, launchChromium, PAGE_LIMIT_MS } from './chromium.ts'
import { createDatabase, type TestDatabase } from './databases.ts'
import { within } from './deadline.ts'
import { get } from './rest-client.ts'
import { type Environment, type ServiceProcess, type Services, useServices } from './service.ts'
import { SocketProxy } from './socket-proxy.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** A row as the page shows it. */
export interface ShownRow {
  readonly id: string
  /** '' until it is stored. */
  readonly seq: string
  readonly state: string
  readonly content: string
}

/** One tab with the test page. */
export class ChatTab {
  readonly page: Page

  constructor(page: Page) {
    this.page = page
  }

  /** Resolves when a JavaScript expression is true in the page, whose policy forbids to hand one to a script of its own. */
  async until(expression: string): Promise<void> {
    const look = `const look = () => ((${expression}) ? resolve() : setTimeout(look, 20)); look()`
    const found = this.page.evaluate(`new Promise((resolve) => { ${look} })`)
    await within(found, () => expression).catch(async (error: unknown) => {
      const story = await this.page.evaluate('[chat.states, chat.rows(), chat.faults]')
      throw new Error(`${String(error)}\n${JSON.stringify(story)}`)
    })
  }

  /** Resolves when the client is in this state and the page has heard so: it notes when that was a moment after it can be read. */
  untilState(state: string): Promise<void> {
    return this.until(`chat.client.status.get().state === '${state}' && chat.states.at(-1) === '${state}'`)
  }

  /** Resolves when so many rows are shown, and all of them in one of these states. */
  untilRows(count: number, ...states: readonly string[]): Promise<void> {
    const isWanted = `({ state }) => ${JSON.stringify(states)}.includes(state)`
    return this.until(`chat.rows().length === ${count} && chat.rows().every(${isWanted})`)
  }

  /** Types messages; resolves when they are safe from a reload. */
  async sendAll(contents: readonly string[]): Promise<void> {
    await this.page.evaluate(`chat.sendAll(${JSON.stringify(contents)})`)
  }

  rows(): Promise<ShownRow[]> {
    return this.page.evaluate('chat.rows()')
  }

  /** A number that the page has noted. */
  number(expression: string): Promise<number> {
    return this.page.evaluate(`Number(${expression})`)
  }

  /** What a person would have complained about since the page was loaded. */
  faults(): Promise<string[]> {
    return this.page.evaluate('chat.faults')
  }
}

/** One service, several addresses: on 127.0.0.1 browsers trust a page, on a name of the local network they do not. */
export class ChatSite {
  readonly proxy: SocketProxy
  readonly #services: Services
  readonly #database: TestDatabase
  readonly #browser: Browser
  readonly #port: number
  readonly #env: () => Environment
  #service: ServiceProcess | undefined

  constructor(parts: {
    services: Services
    database: TestDatabase
    browser: Browser
    port: number
    proxy: SocketProxy
    env: () => Environment
  }) {
    this.#services = parts.services
    this.#database = parts.database
    this.#browser = parts.browser
    this.#port = parts.port
    this.#env = parts.env
    this.proxy = parts.proxy
  }

  /** Port of the service itself, past the links; undefined while it is away. */
  get port(): number | undefined {
    return this.#service?.port
  }
  get dsn(): string {
    return this.#database.dsn
  }

  async start(): Promise<void> {
    this.#service = await this.#services.start({
      POSTGRES_DSN: this.#database.dsn,
      PUBLIC_URL: `http://${LAN_HOST}:${this.#port}`,
      ...this.#env(),
    })
  }

  async kill(): Promise<void> {
    const service = this.#service
    this.#service = undefined
    await service?.kill9()
  }

  /** Another person, or another machine: nothing is shared with other contexts. */
  async person(): Promise<BrowserContext> {
    const context = await this.#browser.newContext()
    context.setDefaultTimeout(PAGE_LIMIT_MS)
    onTestFinished(() => context.close())
    return context
  }

  async open(context: BrowserContext, who: { host: string; user: string; with: string }): Promise<ChatTab> {
    const tab = new ChatTab(await context.newPage())
    const query = new URLSearchParams({ user: who.user, with: who.with })
    await tab.page.goto(`http://${who.host}:${this.#port}/?${query}`)
    return tab
  }

  /** The address of a path, as a browser asks for it. */
  url(host: string, path: string): string {
    return `http://${host}:${this.#port}${path}`
  }

  /** A page of the same origin that runs nothing. */
  async openBlank(context: BrowserContext, host: string): Promise<Page> {
    const page = await context.newPage()
    await page.goto(`http://${host}:${this.#port}/healthz`)
    return page
  }

  /** A page that blocks the one database of its origin, until it is closed: every `open` waits without end. */
  async openBlocker(context: BrowserContext, host: string): Promise<Page> {
    const page = await this.openBlank(context, host)
    // A connection that does not make way for a removal.
    await page.evaluate(`(async () => {
      const [{ name }] = await indexedDB.databases()
      await new Promise((resolve) => { indexedDB.open(name).onsuccess = resolve })
      await new Promise((resolve) => { indexedDB.deleteDatabase(name).onblocked = resolve })
    })()`)
    return page
  }

  /** What is stored between two people, asked past the links. */
  async stored(user: string, other: string): Promise<{ id: string; seq: number; content: string }[]> {
    const { body } = await get({ port: this.port ?? 0 }, `/api/messages?user_id=${user}&with=${other}&limit=500`)
    return body?.['messages'] as { id: string; seq: number; content: string }[]
  }

  stop(): void {
    this.proxy.close()
  }
}

/**
 * For the top of a test file: one site and one browser for all its tests. `sdk`: with a page that shows the client at work;
 * `built`: with the page that people get.
 */
export function useChatSite(page: 'sdk' | 'built' = 'sdk', env: () => Environment = () => ({})): () => ChatSite {
  const services = useServices()
  let site: ChatSite | undefined
  let database: TestDatabase | undefined
  let browser: Browser | undefined
  beforeAll(async () => {
    const dist = await services.ownFiles()
    await placeBuilt('client', dist)
    if (page === 'built') await placeBuilt('web', dist)
    else await cp(join(root, 'test/browser/page'), join(dist, 'web'), { recursive: true })
    database = await createDatabase()
    browser = await launchChromium()
    const proxy = new SocketProxy(() => site?.port)
    site = new ChatSite({ services, database, browser, proxy, env, port: await proxy.listen() })
    await site.start()
  }, BROWSER_START_LIMIT_MS)
  afterAll(async () => {
    await browser?.close()
    site?.stop()
    await site?.kill()
    await database?.drop()
  })
  return () => {
    if (!site) throw new Error('the site starts before the first test')
    return site
  }
}
