import { expect, test } from 'vitest'
import { codesTables, configTable, readmeSection } from '../support/readme.ts'

test.each([
  ['config', configTable()],
  ['codes', codesTables()],
])('the section %s of the README says what the code says', (name, expected) => {
  expect(readmeSection(name), `write this between the markers:\n\n${expected}\n\n`).toBe(expected)
})
