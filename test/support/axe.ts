// What axe-core, the usual checker of accessibility, says of a page.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Page } from 'playwright-core'

const source = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

interface Found {
  readonly id: string
  readonly nodes: readonly { readonly target: readonly string[]; readonly failureSummary?: string }[]
}

/** One line for each rule that the page breaks, with the places. */
export async function axeViolations(page: Page): Promise<string[]> {
  await page.evaluate(source)
  const options = JSON.stringify({ runOnly: RULES, resultTypes: ['violations'] })
  const found: Found[] = await page.evaluate(`axe.run(document, ${options}).then(({ violations }) => violations)`)
  return found.map(({ id, nodes }) => {
    const places = nodes.slice(0, 4).map(({ target, failureSummary }) => `${target.join(' ')}: ${failureSummary}`)
    return `${id}\n  ${places.join('\n  ').replaceAll('\n', '\n  ')}`
  })
}

/** Elements whose text is cut off or that stand out of the window, apart from those that may scroll or end in "…". */
export async function overflows(page: Page): Promise<string[]> {
  return page.evaluate(`[...document.querySelectorAll('body *')].flatMap((element) => {
    const style = getComputedStyle(element)
    const box = element.getBoundingClientRect()
    if (box.width === 0 || style.visibility === 'hidden' || element.closest('.sr, svg')) return []
    const name = element.tagName.toLowerCase() + '.' + element.className + ' "' + (element.textContent ?? '').slice(0, 40) + '"'
    const mayBeCut = style.textOverflow === 'ellipsis' || ['auto', 'scroll'].includes(style.overflowX) || element.tagName === 'INPUT'
    const isCut = style.overflowX !== 'visible' && !mayBeCut && element.scrollWidth > element.clientWidth + 1
    // What ends in "…" goes on behind its end.
    let around = element.parentElement
    while (around && getComputedStyle(around).textOverflow !== 'ellipsis') around = around.parentElement
    const isOut = !around && (box.left < -1 || box.right > innerWidth + 1)
    return isCut || isOut ? [name + (isOut ? ' stands out of the window' : ' is cut off')] : []
  })`)
}
