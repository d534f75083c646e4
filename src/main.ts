// Imports nothing that takes time to load: until somebody listens, a signal is lost on PID 1 and the end of a supervisor on
// its worker, which would keep the port for ever.
import type { Stop } from './run.ts'
import { WORKER_ARGUMENT } from './worker-argument.ts'

const isWorker = process.argv.includes(WORKER_ARGUMENT)

// While the rest loads there is nothing to stop.
let stop: Stop = () => process.exit(0)
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop(signal))
if (isWorker) {
  process.on('disconnect', () => stop('supervisor gone'))
  // The event is not repeated for who comes late.
  if (!process.connected) stop('supervisor gone')
}

const { run } = await import('./run.ts')
stop = run(isWorker)
