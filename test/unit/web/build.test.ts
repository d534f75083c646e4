// What a build leaves for those who have the page open, and how its styles are written.
import { execFileSync } from 'node:child_process'
import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'

const web = fileURLToPath(new URL('../../../src/web', import.meta.url))

test('a tab of the build before finds its files, one of the build before that does not', () => {
  const place = mkdtempSync(join(tmpdir(), 'messaging-page-'))
  onTestFinished(() => rmSync(place, { recursive: true }))
  const directory = join(place, 'web')
  const build = (): void => {
    // As after a change of the sources.
    rmSync(join(directory, '.sources'), { force: true })
    execFileSync(process.execPath, [join(web, 'build.mjs'), directory])
  }
  build()
  const [old, older] = ['old', 'older'].map((name) => join(directory, `assets/${name}-Ab3_x-9Z.js`))
  for (const file of [old, older]) writeFileSync(String(file), 'old')
  appendFileSync(join(directory, '.assets'), '\nold-Ab3_x-9Z.js')
  build()
  expect([old, older].map((file) => existsSync(String(file)))).toEqual([true, false])
})

test('no pattern lists all emoji: browsers take long to make one', () => {
  const sources = readdirSync(web, { recursive: true, encoding: 'utf8' }).filter((name) => /\.tsx?$/.test(name))
  expect(
    sources.filter((name) => /new RegExp\(.*RGI_|\/.*\\p\{RGI_.*\//.test(readFileSync(join(web, name), 'utf8'))),
  ).toEqual([])
})

const styles = readdirSync(join(web, 'styles')).map((name) => readFileSync(join(web, 'styles', name), 'utf8'))

test('no style has a left or a right but of the screen itself: where a line begins depends on the language', () => {
  const physical =
    /^.*(?:\b(?:margin|padding|border|scroll-(?:margin|padding))-(?:left|right)\b|^\s*(?:left|right):|(?:text-align|float|clear):\s*(?:left|right)).*$/gm
  const found = styles.flatMap((css) => css.match(physical) ?? [])
  expect(found.filter((line) => !/env\(safe-area-inset-(?:left|right)\)/.test(line))).toEqual([])
})

test('where a conversation stands is for the list alone to say', () => {
  const rule = /\.log \{[^}]*overflow-anchor: none;[^}]*\}/.exec(styles.join('\n'))?.[0]
  expect(rule).toContain('overscroll-behavior: none')
})
