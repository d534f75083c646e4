// Imports nothing that takes time to load: until somebody listens, a signal is lost on PID 1 and the end of a supervisor on
// its worker, which would keep the port for ever.
import './lib/navigator.ts'
import { isatty } from 'node:tty'
import type { Control } from './run.ts'
import { workerNumber } from './worker-argument.ts'

const worker = workerNumber(process.argv)
const isWorker = worker !== undefined
// The end of the terminal that started it ends the service. Without one a hang-up is how an administrator asks a service to
// read its files again.
const endsOnHangUp = !isWorker && isatty(0)

// While the rest loads there is nothing to stop.
let control: Control = { stop: () => process.exit(0), reload: () => undefined, ignored: () => undefined }
for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) process.on(signal, () => control.stop(signal))
process.on('SIGHUP', () => (endsOnHangUp ? control.stop('SIGHUP') : control.reload()))
// Unheard, the first would open Node's debugger to every program of the machine and the second end the process.
for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) process.on(signal, () => control.ignored(signal))
if (isWorker) {
  process.on('disconnect', () => control.stop('supervisor gone'))
  // The event is not repeated for a listener that comes late.
  if (!process.connected) control.stop('supervisor gone')
}

const { run } = await import('./run.ts')
control = run(worker)
