/** Entry of the process that opens the page. */
import { obeyCoordinator } from './commanded-process.ts'
import { PageVisitor } from './page-visitor.ts'

const visitor = new PageVisitor()
obeyCoordinator(visitor.obey.bind(visitor))
