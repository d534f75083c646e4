// Somebody who uses the page by its keys alone, and looks where the focus is after each of them.
import type { Page } from 'playwright-core'
import { expect } from 'vitest'

/** More stops than any screen has. */
const MAX_STOPS = 60

interface Focused {
  readonly name: string
  readonly isSeen: boolean
}

export class Keys {
  readonly page: Page

  constructor(page: Page) {
    this.page = page
  }

  /** Goes on by `key` until what is called so has the focus. Whatever has it on the way must be seen to have it. */
  async to(name: string | RegExp, key = 'Tab'): Promise<void> {
    const visited: string[] = []
    const isWanted = (found: string): boolean => (typeof name === 'string' ? found === name : name.test(found))
    for (let stop = 0; stop < MAX_STOPS; stop += 1) {
      await this.page.keyboard.press(key)
      const focused = await this.focused()
      if (focused.name !== '') expect(focused.isSeen, `the focus on "${focused.name}" is seen`).toBe(true)
      if (isWanted(focused.name)) return
      visited.push(focused.name)
    }
    throw new Error(`${name} is not among ${visited.join(' | ')}`)
  }

  /** Goes there and presses it. */
  async press(name: string | RegExp, key = 'Enter'): Promise<void> {
    await this.to(name)
    await this.page.keyboard.press(key)
  }

  /** Goes to a field and writes into it, in place of what is there. */
  async fill(name: string | RegExp, text: string): Promise<void> {
    await this.to(name)
    await this.page.keyboard.press('ControlOrMeta+a')
    await this.page.keyboard.type(text)
  }

  /** Resolves when what has the focus is called so: rows that come into sight are there a frame later. */
  async at(name: RegExp): Promise<void> {
    await expect.poll(async () => (await this.focused()).name).toMatch(name)
  }

  /** What has the focus: its name, '' for the page itself, and whether there is a mark of it within what is in sight. */
  focused(): Promise<Focused> {
    return this.page.evaluate(`(() => {
      const element = document.activeElement
      if (!element || element === document.body) return { name: '', isSeen: false }
      const by = element.getAttribute('aria-labelledby')
      // Of a label around a field, what is beside the field.
      const around = element.labels?.[0]
      const beside = [...(around?.childNodes ?? [])].filter((node) => node.nodeType === Node.TEXT_NODE)
      const own = beside.map((node) => node.textContent).join('').trim()
      const label = by ? document.getElementById(by)?.textContent : own || around?.textContent
      const name = element.getAttribute('aria-label') ?? label ?? element.textContent ?? ''
      // A radio is drawn by what follows it.
      const drawn = element.matches('[type=radio]') ? element.nextElementSibling : element
      const { outlineStyle, outlineWidth, boxShadow, borderTopColor } = getComputedStyle(drawn)
      const isRinged = outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2
      const isMarked = isRinged || boxShadow !== 'none' || borderTopColor !== 'rgba(0, 0, 0, 0)'
      const { left, top, width, height } = drawn.getBoundingClientRect()
      const isInSight = left + width > 0 && top + height > 0 && left < innerWidth && top < innerHeight
      return { name: name.trim(), isSeen: (isMarked || element.tabIndex === -1) && isInSight }
    })()`)
  }
}
