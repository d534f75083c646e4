// How much a browser has to fetch before the page is there.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'

const KB = 1024
let directory = ''
let html = ''

beforeAll(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'messaging-page-')), 'web')
  execFileSync(process.execPath, [fileURLToPath(new URL('../../../src/web/build.mjs', import.meta.url)), directory])
  html = readFileSync(join(directory, 'index.html'), 'utf8')
})
afterAll(() => rmSync(join(directory, '..'), { recursive: true, force: true }))

const sizeOf = (path: string): number => readFileSync(join(directory, `${path}.gz`)).length
/** Addresses of the files that the page asks for by itself, without its icon and what is for the installed app alone. */
const asked = (): string[] => [...html.matchAll(/(?:src|href)="(\/[^"]+\.(?:js|css))"/g)].map(([, path = '']) => path)
const sum = (sizes: readonly number[]): number => sizes.reduce((total, size) => total + size, 0)
const sized = (pattern: RegExp): number =>
  sum(
    asked()
      .filter((path) => pattern.test(path))
      .map(sizeOf),
  )

test('scripts, styles and requests before the first paint are within their budgets', () => {
  expect(sized(/\.js$/)).toBeLessThanOrEqual(130 * KB)
  expect(sized(/index-[^/]+\.js$/)).toBeLessThanOrEqual(33 * KB)
  expect(sized(/\.css$/)).toBeLessThanOrEqual(12 * KB)
  expect(asked().length + 1).toBeLessThanOrEqual(6)
})

test('another language and the second screens are fetched when they are wanted, not before', () => {
  const scripts = readdirSync(join(directory, 'assets')).filter((name) => name.endsWith('.js'))
  const lazy = scripts.filter((name) => !asked().includes(`/assets/${name}`))
  expect(lazy.some((name) => name.startsWith('de-'))).toBe(true)
  const german = scripts.filter((name) =>
    readFileSync(join(directory, 'assets', name), 'utf8').includes('Unterhaltung'),
  )
  expect(german).not.toEqual([])
  expect(german.every((name) => lazy.includes(name))).toBe(true)
  for (const screen of ['settings-', 'entrance-', 'token-door-']) {
    expect([screen, lazy.some((name) => name.startsWith(screen))]).toEqual([screen, true])
  }
})

test('nothing comes from elsewhere, and nothing is inline', () => {
  expect(html).not.toMatch(/(?:src|href)="(?:https?:)?\/\//)
  expect(html).not.toMatch(/<script(?![^>]*src=)|<style|style="|\son\w+=/)
})
