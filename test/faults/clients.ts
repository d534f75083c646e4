// Entry of a process of clients: some people with two devices each, who write to everybody until told to be quiet. Killed
// and started again it goes on from its history, as phones go on from their storage.
import { existsSync } from 'node:fs'
import { type ClientPlan, devicesOf, type Order, type Told } from './client-plan.ts'
import { Device } from './device.ts'
import { FileHistory, readHistory } from './history.ts'
import { isDefinite, Outbox } from './outbox.ts'
import { Random } from './random.ts'

const TICK_MS = 20
const MAX_WAITING = 400
const REST_SHARE = 0.05
const REST_LIMIT_MS = 10_000
/** Talking to oneself is allowed. */
const SELF_SHARE = 0.02
const HOT_SHARE = 0.3

interface Person {
  readonly user: string
  readonly outbox: Outbox
  readonly devices: readonly Device[]
}

const plan: ClientPlan = JSON.parse(process.argv[2] ?? '{}')
const past = existsSync(plan.file) ? readHistory(plan.file) : []
const random = new Random(plan.seed + past.length)
const history = new FileHistory(plan.file)
const people = plan.users.map(makePerson)
let isQuiet = false
let credit = 0

for (const { devices } of people) for (const device of devices) device.open()
const writing = setInterval(tick, TICK_MS)
const telling = setInterval(tell, 200)
process.on('message', (order: Order) => void obey(order))
process.on('disconnect', () => process.exit(0))

function makePerson(user: string): Person {
  const outbox = new Outbox(user, history, random)
  const sent = new Map<string, string>()
  for (const entry of past) {
    if (entry.e === 'invoke' && entry.from === user) sent.set(entry.id, entry.to)
    else if (entry.e === 'ok') sent.delete(entry.id)
  }
  for (const [id, to] of sent) outbox.restore(id, to)
  const devices = devicesOf(user).map((name) => {
    const heads = new Map<string, number>()
    for (const entry of past) if (entry.e === 'applied' && entry.d === name) heads.set(entry.w, entry.seq)
    return new Device({ user, name, ports: plan.ports, history, random, outbox, heads: [...heads] })
  })
  return { user, outbox, devices }
}

function tick(): void {
  if (!isQuiet) {
    credit = Math.min(credit + (plan.sendsPerSecond * TICK_MS) / 1000, 200)
    for (; credit >= 1; credit -= 1) writeOne()
  }
  for (const { outbox, devices } of people) {
    if (outbox.size > 0) random.pick(devices).pump()
  }
  history.flush()
}

function writeOne(): void {
  const person = random.pick(people)
  if (person.outbox.size > MAX_WAITING) return
  const to = random.chance(SELF_SHARE)
    ? person.user
    : random.pick(random.chance(HOT_SHARE) ? plan.everybody.slice(0, 2) : plan.everybody)
  const pending = person.outbox.write(to)
  if (random.chance(REST_SHARE)) void sendByRest(person, pending.id)
}

async function sendByRest({ user, outbox }: Person, id: string): Promise<void> {
  const pending = outbox.waiting().find((one) => one.id === id)
  if (!pending) return
  const content = outbox.attempt(pending, `rest ${id}`)
  history.flush()
  const body = JSON.stringify({ sender_id: user, receiver_id: pending.to, content, id })
  const url = `http://127.0.0.1:${random.pick(plan.ports)}/api/send_message`
  try {
    const answer = await fetch(url, {
      ...{ method: 'POST', headers: { 'content-type': 'application/json' }, body },
      signal: AbortSignal.timeout(REST_LIMIT_MS),
    })
    const stored = (await answer.json()) as { seq?: number }
    if (answer.ok && stored.seq !== undefined) outbox.stored(id, stored.seq)
    else if (isDefinite(answer.status)) outbox.failed(id, answer.status, !isQuiet)
    else outbox.lost(pending, !isQuiet)
  } catch {
    outbox.lost(pending, !isQuiet) // refused, reset, cut or too late: the outcome is not known
  }
}

async function obey(order: Order): Promise<void> {
  const devices = people.flatMap((person) => person.devices)
  if (order === 'quiet') {
    isQuiet = true
    for (const device of devices) device.mayGiveUp = false
  } else if (order === 'live') {
    for (const device of devices) device.standing('live')
  } else if (order === 'resume') {
    for (const device of devices) device.cut()
  } else if (order === 'final') {
    for (const device of devices) {
      device.standing('final')
      device.acknowledgeAll()
      await device.ask({ type: 'ping' })
    }
  } else {
    clearInterval(writing)
    clearInterval(telling)
    history.close()
    process.exit(0)
  }
  history.flush()
  tell(order)
}

function tell(done?: Order): void {
  const devices = people.flatMap((person) => person.devices)
  const told: Told = {
    waiting: people.reduce((sum, { outbox }) => sum + outbox.size, 0),
    isSynced: devices.every((device) => device.isSynced),
    heads: devices.map(({ user, heads }) => ({ user, heads })),
    closes: devices.flatMap(({ closes }) => [...closes]),
    ...(done && { done }),
  }
  process.send?.(told)
}
