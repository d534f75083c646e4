// What `npm run browser` has measured, beside what it may be.
import { appendFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect } from 'vitest'

let reportFile = ''

/** For the top of the file: begins a report of this name, and prints it at the end. */
export function useReport(name: string): void {
  reportFile = fileURLToPath(new URL(`../../dist/browser-report-${name}.txt`, import.meta.url))
  beforeAll(() => {
    rmSync(reportFile, { force: true })
    mkdirSync(dirname(reportFile), { recursive: true })
    appendFileSync(reportFile, `${new Date().toISOString()}, Node ${process.version}\n`)
  })
  afterAll(() => {
    process.stdout.write(`\n${readFileSync(reportFile, 'utf8')}(${reportFile})\n`)
  })
}

/** Notes a figure that has no bound. */
export function note(what: string, measured: number, unit = 'ms'): void {
  appendFileSync(reportFile, `       ${what}: ${Math.round(measured)} ${unit}\n`)
}

/** Notes a figure and fails when it is above its bound. Every figure of a test is noted, also after one that was too high. */
export function expectAtMost(what: string, measured: number, bound: number, unit = 'ms'): void {
  const mark = measured <= bound ? 'ok    ' : 'ABOVE '
  appendFileSync(reportFile, `${mark} ${what}: ${Math.round(measured)} of at most ${bound} ${unit}\n`)
  expect.soft(measured, what).toBeLessThanOrEqual(bound)
}
