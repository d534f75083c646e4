/** Processes that carry out a coordinator's commands, and the coordinator's end of one. */
import { type ChildProcess, fork } from 'node:child_process'

interface Order<Command> {
  readonly number: number
  readonly command: Command
}

type Report<Result> =
  | { readonly type: 'done'; readonly number: number; readonly result: Result }
  | { readonly type: 'failed'; readonly number: number; readonly reason: string }

interface Waiter<Result> {
  readonly resolve: (result: Result) => void
  readonly reject: (error: Error) => void
}

/** The process's side: obeys in the order of the commands, until the coordinator is gone. */
export function obeyCoordinator<Command, Result>(obey: (command: Command) => Promise<Result>): void {
  const tell = (report: Report<Result>): void => {
    process.send?.(report)
  }
  process.on('message', ({ number, command }: Order<Command>) => {
    obey(command).then(
      (result) => tell({ type: 'done', number, result }),
      (error: unknown) =>
        tell({ type: 'failed', number, reason: error instanceof Error ? error.message : String(error) }),
    )
  })
  process.on('disconnect', () => process.exit(0))
}

/** The coordinator's end of one process; `failure` makes the error of a command that could not be carried out. */
export class CommandedProcess<Command, Result> {
  readonly #child: ChildProcess
  readonly #waiters = new Map<number, Waiter<Result>>()
  #commands = 0

  constructor(file: string, failure: (reason: string) => Error) {
    this.#child = fork(file, { serialization: 'advanced' })
    this.#child.on('message', (report: Report<Result>) => {
      const waiter = this.#waiters.get(report.number)
      this.#waiters.delete(report.number)
      if (report.type === 'done') waiter?.resolve(report.result)
      else waiter?.reject(failure(report.reason))
    })
    this.#child.on('exit', (code) => {
      for (const { reject } of this.#waiters.values()) reject(new Error(`${file} ended with ${code}`))
    })
  }

  get pid(): number {
    return this.#child.pid ?? Number.NaN
  }

  tell(command: Command): Promise<Result> {
    const number = this.#commands++
    return new Promise((resolve, reject) => {
      this.#waiters.set(number, { resolve, reject })
      this.#child.send({ number, command })
    })
  }

  stop(): void {
    this.#child.kill('SIGKILL')
  }
}
