import { Agent, get, type IncomingMessage } from 'node:http'
import { LatencyHistogram } from './histogram.ts'
import { Pacer } from './pacer.ts'
import type { PageCommand, PagePlan, PageResult } from './page-load.ts'

/** As many as a browser opens to one host. */
const socketsOfVisit = 6
const namedFile = /(?:src|href)="(\/[^"]+)"/g

/** Opens the page at exponential intervals: the document, then all files that it names, on connections of the visit's own. */
export class PageVisitor {
  readonly #answers = new LatencyHistogram()
  readonly #visits = new Set<Promise<void>>()
  #plan: PagePlan | undefined
  #pacer: Pacer | undefined
  #isTimed = false
  #count = 0
  #bytes = 0
  #failure: unknown

  async obey(command: PageCommand): Promise<PageResult> {
    if (command.type === 'start') await this.#start(command.plan)
    else if (command.type === 'finish') await this.#finish()
    else this.#isTimed = command.type === 'begin'
    return { visits: this.#count, bytes: this.#bytes, answer: this.#answers.packed() }
  }

  /** The first visit has ended when it returns: a service without the page is told at once. */
  async #start(plan: PagePlan): Promise<void> {
    this.#plan = plan
    await this.#visit(plan)
    this.#pacer = new Pacer(plan.visitsPerSecond, 1, (dueMs) => this.#begin(dueMs))
  }

  async #finish(): Promise<void> {
    this.#pacer?.stop()
    await Promise.all(this.#visits)
    if (this.#failure !== undefined) throw this.#failure
  }

  #begin(dueMs: number): void {
    if (this.#plan === undefined) return
    const visit = this.#visit(this.#plan, dueMs).catch((error: unknown) => {
      this.#failure ??= error
    })
    this.#visits.add(visit)
    void visit.then(() => this.#visits.delete(visit))
  }

  async #visit({ host, port }: PagePlan, dueMs = performance.now()): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: socketsOfVisit })
    const ask = (path: string, sinceMs: number): Promise<string> => this.#ask({ host, port, path, agent }, sinceMs)
    try {
      const page = await ask('/', dueMs)
      const files = new Set([...page.matchAll(namedFile)].map(([, path = '']) => path))
      if (files.size === 0) throw new Error('the page names no files')
      const foundMs = performance.now()
      await Promise.all([...files].map((path) => ask(path, foundMs)))
      this.#count += 1
    } finally {
      agent.destroy()
    }
  }

  async #ask(options: { host: string; port: number; path: string; agent: Agent }, sinceMs: number): Promise<string> {
    // Only the document is read, hence comes plain; the others come as browsers take them.
    const headers = options.path === '/' ? {} : { 'Accept-Encoding': 'gzip, br' }
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get({ ...options, headers }, resolve).once('error', reject)
    })
    if (response.statusCode !== 200) throw new Error(`${options.path}: ${response.statusCode}`)
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(chunk)
    if (this.#isTimed) this.#answers.record(performance.now() - sinceMs)
    const body = Buffer.concat(chunks)
    this.#bytes += body.length
    return body.toString('latin1')
  }
}
