// A page that came over plain http from a machine of the local network, played by a process of Node: it has what a browser
// gives such a page and nothing that it keeps for secure origins. It runs the module that the service serves.
// Usage: node plain-http-page.mjs <origin> <module> <user> <other>; a line of JSON comes after each step.
import 'fake-indexeddb/auto'
import { WebSocket } from 'ws'

const [origin, module, user, other] = process.argv.slice(2)

/** As in Chromium at http://192.168.…: these are not there. */
const { crypto } = globalThis
const replaced = {
  crypto: { getRandomValues: (bytes) => crypto.getRandomValues(bytes), randomUUID: undefined, subtle: undefined },
  caches: undefined,
  isSecureContext: false,
  // A browser says where a page came from; the service may refuse pages of elsewhere.
  WebSocket: class extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols, { origin })
    }
  },
  document: Object.assign(new EventTarget(), { visibilityState: 'visible', hasFocus: () => true }),
  location: new URL(origin),
  navigator: {
    ...{ onLine: true, locks: undefined, serviceWorker: undefined, storage: undefined },
    ...{ clipboard: undefined, setAppBadge: undefined },
  },
  localStorage: { getItem: () => null, setItem: () => undefined, removeItem: () => undefined },
}
for (const [name, value] of Object.entries(replaced))
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
const events = new EventTarget()
for (const name of ['addEventListener', 'removeEventListener', 'dispatchEvent'])
  globalThis[name] = events[name].bind(events)
// No browser has it; `process` and `Buffer` are left to the WebSocket of Node.
delete globalThis.setImmediate

const { createClient } = await import(module)
const say = (step, facts) => console.log(JSON.stringify({ step, ...facts }))

/** Resolves when a store's value is as wanted. */
function until(store, isWanted) {
  return new Promise((resolve) => {
    const look = () => {
      if (!isWanted(store.get())) return
      end()
      resolve(store.get())
    }
    const end = store.subscribe(look)
    queueMicrotask(look)
  })
}

const options = { url: `${origin.replace('http', 'ws')}/ws`, auth: { userId: user } }
const rowsOf = (rows) => rows.map(({ content, state }) => `${content} ${state}`)

const first = createClient(options)
const sent = first.conversation(other).send('typed over plain http')
await sent.saved
say('sent', { outcome: (await sent.settled).outcome, storage: first.storage.get().kind })
const { messages } = first.conversation(other)
const answered = await until(messages, (rows) => rows.length === 2 && rows[0].state === 'delivered')
say('answered', { rows: rowsOf(answered) })
await first.close()

// A reload while the service cannot be reached: everything comes from the storage.
class Unreachable {
  readyState = 0
  send = () => undefined
  close = () => undefined
}
const reloaded = createClient({ ...options, WebSocket: Unreachable })
say('reloaded', { rows: rowsOf(await until(reloaded.conversation(other).messages, (rows) => rows.length === 2)) })
await reloaded.close()
process.exit()
