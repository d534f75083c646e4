/** Entry of a crowd process. */
import { obeyCoordinator } from './commanded-process.ts'
import { Crowd } from './crowd.ts'

const crowd = new Crowd()
obeyCoordinator(crowd.obey.bind(crowd))
