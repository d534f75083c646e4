// Figures that tests come by and nobody asserts on. They would hide what matters in the log, so they go to a file.
import { appendFileSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'

/** Made anew by every run. */
export const FIGURES_FILE = fileURLToPath(new URL('../../dist/test-figures.txt', import.meta.url))

/** Notes what was measured, under the name of the test that runs. */
export function figure(...parts: readonly unknown[]): void {
  const text = parts.map((part) => (typeof part === 'string' ? part : JSON.stringify(part))).join(' ')
  mkdirSync(dirname(FIGURES_FILE), { recursive: true })
  appendFileSync(FIGURES_FILE, `${expect.getState().currentTestName}: ${text}\n`)
}
