// A set-up file: notes how much CPU time each test file takes, with the processes that it starts and ends, for the summary.
import { appendFileSync } from 'node:fs'
import { relative } from 'node:path'
import { afterAll, expect } from 'vitest'
import { cpuSeconds } from './cpu-time.mjs'

const notes = process.env.FILE_CPU_NOTES
if (notes !== undefined) {
  const before = cpuSeconds()
  // The first to be registered is the last to run: what the file itself cleans up is counted.
  afterAll(() => {
    const file = relative('', expect.getState().testPath ?? '')
    appendFileSync(notes, `${(cpuSeconds() - before).toFixed(2)} ${file}\n`)
  })
}
