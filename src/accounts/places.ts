import type { UserId } from '../protocol/message.ts'
import { type Counted, countedAs, type Network } from './network.ts'
import { AccountRefusal } from './refusal.ts'

/**
 * Who has a password hashed. Strangers can be any number: however many come, whoever signed in from this device before, or is signed
 * in, has places of their own and waits for one of their hashes at most. Whether a device is known has to be looked up first.
 */
export type Lane = 'stranger' | 'known' | 'look'

export type HashingLane = Exclude<Lane, 'look'>

const PLACES: Readonly<Record<Lane, number>> = { stranger: 52, known: 50, look: 50 }

/** Of the places of a lane: what one network may have, what a site or a network that many share may, and what one person may. */
const SHARES = { own: 1 / 2, wide: 3 / 4, person: 1 / 5 } as const

/** A place that is asked for, and in whose name: none of these has so many that nobody else has one. */
export interface Place {
  readonly lane: Lane
  readonly holders: readonly Holder[]
}

type Holder = Counted | { readonly name: string; readonly as: 'person' }

export function placeOfStranger(network: Network): Place {
  return { lane: 'stranger', holders: countedAs(network) }
}

export function placeToLook(network: Network): Place {
  return { lane: 'look', holders: countedAs(network) }
}

/** Of a person who is known. Whoever may register has as many names as they like, so the network counts, too. */
export function placeOfPerson(userId: UserId, network: Network): Place {
  return { lane: 'known', holders: [...countedAs(network), { name: userId, as: 'person' }] }
}

/** The places of this process. */
export class Places {
  readonly #taken: Record<Lane, number> = { stranger: 0, known: 0, look: 0 }
  readonly #held = new Map<string, number>()

  taken(lane: Lane): number {
    return this.#taken[lane]
  }

  /** Does this work in that place. Rejects at once when there is none. */
  async admit<T>(place: Place, work: () => Promise<T>): Promise<T> {
    this.#requireRoom(place)
    this.#add(place, 1)
    try {
      return await work()
    } finally {
      this.#add(place, -1)
    }
  }

  #requireRoom({ lane, holders }: Place): void {
    if (this.#taken[lane] >= PLACES[lane]) throw new AccountRefusal('overloaded', TOO_MANY)
    for (const { name, as } of holders) {
      const held = this.#held.get(keyOf(lane, as, name)) ?? 0
      if (held >= Math.floor(PLACES[lane] * SHARES[as])) throw new AccountRefusal('rate_limited', TOO_MANY_OF[as])
    }
  }

  #add({ lane, holders }: Place, change: 1 | -1): void {
    this.#taken[lane] += change
    for (const { name, as } of holders) {
      const key = keyOf(lane, as, name)
      const held = (this.#held.get(key) ?? 0) + change
      if (held > 0) this.#held.set(key, held)
      else this.#held.delete(key)
    }
  }
}

function keyOf(lane: Lane, as: Holder['as'], name: string): string {
  return `${lane} ${as} ${name}`
}

const TOO_MANY = { message: 'Too many people are signing in right now.' } as const
const OF_NETWORK = { message: 'Too many people of this network are signing in right now.' } as const
const TOO_MANY_OF = {
  own: OF_NETWORK,
  wide: OF_NETWORK,
  person: { message: 'Too many requests of this person are under way.' },
} as const
