import type { Auth } from '../../client/types.ts'
import { Value } from './store.ts'

/** How whoever uses this tab proves who they are; undefined while nobody does. */
export const identity = new Value<Auth | undefined>(undefined)
