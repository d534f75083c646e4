import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Build, compileService, patchedText } from './build.ts'
import { scenarioNamed } from './scenarios.ts'
import { SEEDED_BUGS } from './seeded-bugs.ts'

/** Bug and scenario of every row of the README's table. */
function toldRows(): string[][] {
  const readme = readFileSync(new URL('./README.md', import.meta.url), 'utf8')
  const [, section = ''] = readme.split('\n## Seeded bugs\n')
  const [ownSection = ''] = section.split('\n## ')
  return [...ownSection.matchAll(/^\| (.+?) \| \*(.+?)\* \| .+ \|$/gm)].map(([, bug = '', scenario = '']) => [
    bug,
    scenario,
  ])
}

test('the README names every seeded bug with the scenario that catches it, and no other', () => {
  expect(toldRows()).toEqual(SEEDED_BUGS.map(({ name, scenario }) => [name, scenario]))
})

describe('in the service as it is now', () => {
  let build: Build

  beforeAll(async () => {
    build = await compileService()
  })
  afterAll(() => build.remove())

  test.each(SEEDED_BUGS)('"$name" can still be made, and has its scenario', async ({ patches, scenario }) => {
    const { without = [] } = scenarioNamed(scenario)
    const texts = new Map<string, string>()
    for (const patch of [...without, ...patches]) {
      const text = texts.get(patch.file) ?? (await readFile(join(dirname(build.mainFile), patch.file), 'utf8'))
      texts.set(patch.file, patchedText(text, patch))
    }
  })
})
