/** Entry of a process of clients that offer too much. */
import { obeyCoordinator } from './commanded-process.ts'
import { Flood } from './flood.ts'

const flood = new Flood()
obeyCoordinator(flood.obey.bind(flood))
