// Builds the reference of the protocol into dist/docs: one page, with its encoded forms. The service has to be compiled before.
// Usage: node src/reference/build.mjs [directory]
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { buildOnce, compress, root } from '../build-step.mjs'

const target = resolve(process.argv[2] ?? join(root, 'dist/docs'))
const compiled = (name) => import(new URL(`../../dist/${name}`, import.meta.url).href)

await buildOnce({
  target,
  sources: ['src/reference', 'src/gateway/wire', 'src/protocol', 'package.json'],
  packages: ['zod'],
  build: buildInto,
})

async function buildInto(directory) {
  const [{ referencePage }, { openApiDocument }, { asyncApiDocument }] = await Promise.all(
    ['reference/page.js', 'gateway/wire/openapi.js', 'gateway/wire/asyncapi.js'].map(compiled),
  )
  const style = readFileSync(join(root, 'src/reference/reference.css'), 'utf8')
  mkdirSync(directory, { recursive: true })
  const path = join(directory, 'docs.html')
  writeFileSync(path, referencePage(openApiDocument(), asyncApiDocument(), style))
  compress(path)
}
