// The compiled service with the built chat page, as people come to it with a browser.
import { appendFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import { placeBuilt } from './built-files.ts'
import { BROWSER_START_LIMIT_MS, launchChromium, PAGE_LIMIT_MS } from './chromium.ts'
import { createDatabase, type TestDatabase } from './databases.ts'
import { type Answer, post } from './rest-client.ts'
import { type Environment, type ServiceProcess, type Services, useServices } from './service.ts'

export const DESKTOP = { viewport: { width: 1180, height: 780 } }
export const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 }

/** For `addInitScript`: the person of every tab of a browser, on a server without sign-in. */
export const whoIs = (name: string): string =>
  `if (location.protocol === 'http:') sessionStorage.setItem('name', '${name}')`

/** One service with the page, and the browser in which people come to it. */
export class PageSite {
  readonly #services: Services
  readonly #database: TestDatabase
  readonly #browser: Browser
  /** Of the built page. */
  readonly #directory: string
  #service: ServiceProcess | undefined
  /** What browsers have complained about: uncaught errors, and what the policy of the page forbids. */
  readonly faults: string[] = []

  constructor(services: Services, database: TestDatabase, browser: Browser, directory: string) {
    this.#directory = directory
    this.#services = services
    this.#database = database
    this.#browser = browser
  }

  get service(): ServiceProcess {
    if (!this.#service) throw new Error('the service is not running')
    return this.#service
  }
  /** Undefined while the service is away. */
  get port(): number | undefined {
    return this.#service?.port
  }
  get dsn(): string {
    return this.#database.dsn
  }
  get origin(): string {
    return `http://127.0.0.1:${this.service.port}`
  }

  async start(env: Environment = {}): Promise<void> {
    this.#service = await this.#services.start({ POSTGRES_DSN: this.#database.dsn, ...env })
  }

  /** Makes the page another build, in the eyes of browsers. The service comes back at another port. */
  async update(): Promise<void> {
    await this.kill()
    const worker = join(this.#directory, 'sw.js')
    await appendFile(worker, '// another build')
    for (const encoded of ['.br', '.gz']) await rm(worker + encoded)
    await this.start()
  }

  async kill(): Promise<void> {
    const service = this.#service
    this.#service = undefined
    await service?.kill9()
  }

  /** Another person, or another machine: nothing is shared with other contexts. */
  async person(options: BrowserContextOptions = {}): Promise<BrowserContext> {
    const context = await this.#browser.newContext({
      ...{ ...DESKTOP, serviceWorkers: 'block', locale: 'en-GB', timezoneId: 'UTC', reducedMotion: 'reduce' },
      ...options,
    })
    context.setDefaultTimeout(PAGE_LIMIT_MS)
    context.on('weberror', (error) => this.faults.push(error.error().message))
    context.on('console', (message) => {
      // What the network does is told there as well, and tests do that to it.
      const isOfPage =
        message.type() === 'error' && !/Failed to load resource|WebSocket connection/.test(message.text())
      if (isOfPage) this.faults.push(message.text())
    })
    onTestFinished(() => context.close())
    return context
  }

  async open(context: BrowserContext, path = '/'): Promise<Page> {
    const page = await context.newPage()
    await page.goto(this.origin + path)
    return page
  }

  /** Over REST, on a server without sign-in. */
  say(sender_id: string, receiver_id: string, content: string): Promise<Answer> {
    return post(this.service, { sender_id, receiver_id, content })
  }

  /** A person of a server without sign-in, past the door. */
  async named(name: string, options: BrowserContextOptions = {}, path = '/'): Promise<Page> {
    const page = await this.open(await this.person(options), path)
    await page.getByRole('textbox').fill(name)
    await page.getByRole('textbox').press('Enter')
    await page.locator('.shell').waitFor()
    return page
  }
}

/** For the top of a test file: one site and one browser for all its tests. */
export function usePageSite(env: () => Environment = () => ({})): () => PageSite {
  const services = useServices()
  let site: PageSite | undefined
  let database: TestDatabase | undefined
  let browser: Browser | undefined
  beforeAll(async () => {
    const dist = await services.ownFiles()
    await placeBuilt('web', dist)
    database = await createDatabase()
    browser = await launchChromium()
    site = new PageSite(services, database, browser, join(dist, 'web'))
    await site.start(env())
  }, BROWSER_START_LIMIT_MS)
  afterAll(async () => {
    await browser?.close()
    await site?.kill()
    await database?.drop()
  })
  return () => {
    if (!site) throw new Error('the site starts before the first test')
    return site
  }
}
