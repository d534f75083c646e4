// Entry of a process of clients that use the SDK: some people with two devices each, who write to everybody until told to be
// quiet. Killed and started again they go on from their storage.
import { type ClientPlan, devicesOf, type Order, type Told } from './client-plan.ts'
import { Random } from './random.ts'
import { SdkDevice } from './sdk-device.ts'
import { SdkJournal } from './sdk-journal.ts'

const TICK_MS = 20
const MAX_WAITING = 200
const HOT_SHARE = 0.3

const plan: ClientPlan = JSON.parse(process.argv[2] ?? '{}')
const random = new Random(plan.seed + Math.floor(performance.timeOrigin))
const journal = new SdkJournal(plan.file)
const { ports, everybody } = plan
const devices = await Promise.all(
  plan.users.flatMap((user) =>
    devicesOf(user).map((name) => {
      const path = `${plan.file}.${name.replace('/', '-')}.storage`
      return SdkDevice.open({ user, name, ports, everybody, random, journal, path })
    }),
  ),
)
let isQuiet = false
let credit = 0

const writing = setInterval(tick, TICK_MS)
const telling = setInterval(tell, 200)
process.on('message', (order: Order) => obey(order))
process.on('disconnect', () => process.exit(0))

function tick(): void {
  credit = isQuiet ? 0 : Math.min(credit + (plan.sendsPerSecond * TICK_MS) / 1000, 200)
  for (; credit >= 1; credit -= 1) {
    const device = random.pick(devices)
    const to = random.pick(random.chance(HOT_SHARE) ? plan.everybody.slice(0, 2) : plan.everybody)
    if (to !== device.user && device.waiting < MAX_WAITING) device.write(to)
  }
  journal.flush()
}

function obey(order: Order): void {
  if (order === 'quiet') isQuiet = true
  if (order === 'resume') for (const device of devices) device.cut()
  if (order === 'exit') {
    clearInterval(writing)
    clearInterval(telling)
    journal.flush()
    process.exit(0)
  }
  journal.flush()
  tell(order)
}

function tell(done?: Order): void {
  const told: Told = {
    waiting: devices.reduce((sum, { waiting }) => sum + waiting, 0),
    isSynced: devices.every((device) => device.isSynced),
    behind: devices.flatMap((device) => device.behind() ?? []),
    heads: devices.map(({ user, heads }) => ({ user, heads })),
    closes: devices.flatMap(({ closes }) => [...closes]),
    ...(done && { done }),
  }
  process.send?.(told)
}
