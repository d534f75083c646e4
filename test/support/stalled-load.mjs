// For `node --import`: the service's configuration is never loaded, as from a disk that hangs, and standard output says so.
// After a `?` the argument without which a process is left alone.
import { register } from 'node:module'

const hooks = `
  import { writeSync } from 'node:fs'
  export const load = (url, context, next) => {
    if (!url.endsWith('/dist/config.js')) return next(url, context)
    writeSync(1, JSON.stringify({ level: 'info', msg: 'the load stalls' }) + '\\n')
    // A timer, because Node ends when nothing is left to wait for.
    return new Promise(() => setInterval(() => undefined, 60_000))
  }`
const argument = new URL(import.meta.url).search.slice(1)
if (argument === '' || process.argv.includes(argument)) {
  register(`data:text/javascript,${encodeURIComponent(hooks)}`)
}
