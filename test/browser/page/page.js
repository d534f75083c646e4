// A page without a build step that shows one conversation, and notes whenever it shows a message twice or no more.
// Its address says who: /?user=amy&with=ben
import { createClient } from '/client.js'

const query = new URLSearchParams(location.search)
const other = query.get('with')
const startedAt = performance.now()
const url = `${location.origin.replace('http', 'ws')}/ws`
const client = createClient({ url, auth: { userId: query.get('user') } })
const { messages, send } = client.conversation(other)
const list = document.getElementById('rows')

const chat = {
  client,
  startedAt,
  /** What people would complain about: contents that were on the screen twice, vanished from it, or changed places. */
  faults: [],
  /** States that the connection was in, in order. */
  states: [],
  /** When each was first there, in milliseconds since the page started, as all times here. */
  times: {},
  /** When a row with this number was first the last one. */
  newest: {},
  told: 0,
  toldAt: 0,
  longTasks: [],
  /** Resolves when they are safe from a reload. */
  sendAll: (texts) => Promise.all(texts.map((text) => send(text).saved)),
  rows: () => [...list.children].map(({ dataset, textContent }) => ({ ...dataset, content: textContent })),
}
globalThis.chat = chat

/** What is shown of each row; as every framework does it, by key, and only where a row is another object than before. */
const elements = new Map()

function elementOf(row) {
  const { element, row: before } = elements.get(row.id) ?? { element: document.createElement('li') }
  if (row === before) return element
  Object.assign(element.dataset, { id: row.id, seq: row.seq ?? '', state: row.state })
  if (element.textContent !== row.content) element.textContent = row.content
  elements.set(row.id, { element, row })
  return element
}

function show() {
  let place = list.firstElementChild
  for (const row of messages.get()) {
    const element = elementOf(row)
    if (element === place) place = place.nextElementSibling
    else list.insertBefore(element, place)
  }
  while (place) {
    const next = place.nextElementSibling
    place.remove()
    place = next
  }
  chat.newest[list.lastElementChild?.dataset.seq] ??= performance.now() - startedAt
}

const shown = new Set()
function look() {
  const contents = [...list.children].map(({ textContent }) => textContent)
  const now = new Set(contents)
  if (now.size < contents.length) chat.faults.push(`twice: ${contents.join(' ')}`)
  for (const content of shown) if (!now.has(content)) chat.faults.push(`gone: ${content}`)
  const numbers = [...list.children].map(({ dataset }) => Number(dataset.seq || Number.POSITIVE_INFINITY))
  if (numbers.some((number, index) => number < numbers[index - 1])) chat.faults.push(`order: ${numbers.join(' ')}`)
  for (const content of contents) shown.add(content)
}

function noteState() {
  const { state } = client.status.get()
  if (chat.states.at(-1) !== state) chat.states.push(state)
  chat.times[state] ??= performance.now() - startedAt
}

new MutationObserver(look).observe(list, { childList: true, subtree: true, characterData: true })
new PerformanceObserver((entries) => {
  for (const { duration } of entries.getEntries()) chat.longTasks.push(duration)
}).observe({ type: 'longtask', buffered: true })

messages.subscribe(show)
client.status.subscribe(noteState)
client.on('message', () => {
  chat.told += 1
  chat.toldAt = performance.now() - startedAt
})
show()
noteState()
