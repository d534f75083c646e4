import { fileURLToPath } from 'node:url'
import type { Config } from './config.ts'
import { StaticFiles } from './transport/static-files.ts'

/** Beside the sources of this program stand those of the page, under the name that its build has beside the compiled one. */
const IS_COMPILED = import.meta.url.endsWith('.js')

/** What the build has put beside this program. */
export function builtFiles({ web }: Config): StaticFiles {
  const directory = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
  return new StaticFiles({
    page: web.isOn && IS_COMPILED ? directory('web') : undefined,
    client: directory('client/bundle'),
    reference: directory('docs'),
  })
}
