import { readFileSync } from 'node:fs'
import { CONFIG_VARIABLES } from '../../src/config.ts'
import { CLOSES, ERRORS } from '../../src/protocol/codes.ts'

/** The lines of the README between `<!-- name:start -->` and `<!-- name:end -->`. */
export function readmeSection(name: string): string {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
  const section = readme.split(`<!-- ${name}:start -->`)[1]?.split(`<!-- ${name}:end -->`)[0]
  if (section === undefined) throw new Error(`README.md has no section ${name}`)
  return section.trim()
}

/** The table of variables as the README must show it. */
export function configTable(): string {
  return markdownTable(
    ['variable', 'default', 'may be', 'meaning'],
    CONFIG_VARIABLES.map((one) => [`\`${one.name}\``, one.default, one.expects, one.meaning]),
  )
}

/** The tables of error codes and close codes as the README must show them. */
export function codesTables(): string {
  const errors = Object.entries(ERRORS).map(([code, { status, message, temporary }]) => [
    `\`${code}\``,
    String(status),
    temporary ? 'yes' : 'no',
    message,
  ])
  const closes = Object.values(CLOSES).map(({ code, reason, reconnect }) => [
    String(code),
    reason,
    reconnect ? 'yes' : 'no',
  ])
  return [
    markdownTable(['error', 'status', 'try again', 'meaning'], errors),
    markdownTable(['close', 'reason', 'reconnect'], closes),
  ].join('\n\n')
}

function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(header), `|${'---|'.repeat(header.length)}`, ...rows.map(line)].join('\n')
}
