/** For tests of applications: a server in memory with faults to order, and time that a test moves. */
export type { FrameFault } from './fake-connections.ts'
export { FakeServer, type FakeServerOptions, type SendFault } from './fake-server.ts'
export { seededRandom } from './seeded-random.ts'
export { VirtualClock } from './virtual-clock.ts'
