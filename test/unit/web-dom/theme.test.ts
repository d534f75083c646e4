// @vitest-environment happy-dom
// The colour of what the browser draws around the page.
import { afterEach, expect, test } from 'vitest'
import html from '../../../src/web/index.html?raw'
import { keep } from '../../../src/web/parts/kept.ts'
import { chooseTheme } from '../../../src/web/parts/theme.ts'
import script from '../../../src/web/public/theme.js?raw'

const medias = (): (string | null)[] =>
  [...document.querySelectorAll('meta[name=theme-color]')].map((meta) => meta.getAttribute('media'))
const bySystem = ['(prefers-color-scheme: light)', '(prefers-color-scheme: dark)']

afterEach(() => {
  chooseTheme(undefined)
  document.head.innerHTML = ''
})

test('it follows the choice, at once and when the page is loaded again', () => {
  const load = (): void => {
    document.head.innerHTML = [...html.matchAll(/<meta name="theme-color"[^>]*>/g)].join('')
    // As the browser does with the file, before anything is drawn.
    new Function(script)()
  }
  load()
  expect(medias()).toEqual(bySystem)
  chooseTheme('dark')
  expect(medias()).toEqual(['not all', 'all'])
  load()
  expect(medias()).toEqual(['not all', 'all'])
  chooseTheme('light')
  expect(medias()).toEqual(['all', 'not all'])
  chooseTheme(undefined)
  expect(medias()).toEqual(bySystem)
  keep('theme', undefined)
})
