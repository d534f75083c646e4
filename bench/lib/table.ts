/** Figures in columns, as they are shown on a terminal and kept in files. */
export interface Table {
  readonly title: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

export function printTable(table: Table): void {
  process.stdout.write(`\n${tableText(table)}`)
}

export function tableText({ title, columns, rows }: Table): string {
  const lines = [columns, ...rows]
  const widths = columns.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)))
  const layOut = (line: readonly string[]) =>
    line.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
  return `${title}\n${lines.map((line) => `  ${layOut(line).join('  ')}\n`).join('')}`
}
