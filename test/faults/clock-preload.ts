// Loaded before an instance (`--import`): its wall clock is wrong by as much as a file says, and jumps when told to look again.
// Only what JavaScript calls the time is shifted: timers and the clocks of PostgreSQL and Redis go on as they are, as they do
// when somebody sets a machine's clock.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const RealDate = Date
const file = join(process.env['FAULTS_CLOCKS'] ?? '', new URL(process.env['POSTGRES_DSN'] ?? 'none:').port)
let wrongByMs = 0

function look(): void {
  try {
    wrongByMs = Number(readFileSync(file, 'utf8'))
  } catch {
    wrongByMs = 0 // nobody has set this clock
  }
}

const now = (): number => RealDate.now() + wrongByMs

globalThis.Date = new Proxy(RealDate, {
  get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
  construct: (target, args) => Reflect.construct(target, args.length === 0 ? [now()] : args),
  apply: () => new RealDate(now()).toString(),
})

look()
// It stems from the time at the start, and does not jump afterwards.
Object.defineProperty(performance, 'timeOrigin', { value: performance.timeOrigin + wrongByMs })
process.on('SIGUSR2', look)
