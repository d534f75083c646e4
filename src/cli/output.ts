/** Where a command prints. */
export interface Output {
  write(text: string): void
  /** The command did its work and found something wrong: with this exit code, 1 unless said. */
  fail(exitCode?: number): void
}

/** One answer for programs and for people. */
export interface Printable {
  readonly json: unknown
  readonly text: string
}

export function printer(output: Output, { json }: { json?: boolean }): (value: Printable) => void {
  return (value) => output.write(`${json ? JSON.stringify(value.json) : value.text}\n`)
}
