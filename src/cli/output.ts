/** Where a command prints. */
export interface Output {
  write(text: string): void
  /** The command did its work and found something wrong: the exit code will be 1. */
  fail(): void
}

/** One answer for programs and for people. */
export interface Printable {
  readonly json: unknown
  readonly text: string
}

export function printer(output: Output, { json }: { json?: boolean }): (value: Printable) => void {
  return (value) => output.write(`${json ? JSON.stringify(value.json) : value.text}\n`)
}
