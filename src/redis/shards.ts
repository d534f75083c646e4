const SLOTS = 16_384
const SHARDS = 16

/** As Redis computes it of what stands in braces (CRC-16/XMODEM). */
export function slotOf(tag: string): number {
  let crc = 0
  for (const byte of Buffer.from(tag)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff
  }
  return crc % SLOTS
}

/** Of each sixteenth of the slots the first number that lies well inside it. */
const TAGS: readonly string[] = Array.from({ length: SHARDS }, (_, shard) => {
  const first = (shard + 0.25) * (SLOTS / SHARDS)
  let number = 0
  while (slotOf(String(number)) < first || slotOf(String(number)) >= first + SLOTS / SHARDS / 2) number += 1
  return String(number)
})
const PRESENCE = 'presence'

export interface Place {
  readonly channel: string
  readonly slot: number
}

/**
 * Where keys and channels lie in a Redis Cluster. A node serves the channels of its slots, and one command may only name channels of
 * one slot. So all channels lie in sixteen shards, spread evenly: enough for sixteen nodes, and a batch goes out in sixteen calls at
 * most. `msg:user:ann` becomes `msg:{12}:user:ann`. All of presence is in one place, because its scripts reach many keys.
 */
export class Shards {
  /** Put before the keys and channels of presence, which have their place by it. */
  readonly presencePrefix: string
  /** Every slot that is used. */
  readonly slots: readonly number[] = [...TAGS, PRESENCE].map(slotOf)
  readonly #prefix: string

  constructor(prefix: string) {
    this.#prefix = prefix
    this.presencePrefix = `${prefix}{${PRESENCE}}:`
  }

  placeOf(name: string): Place {
    if (name.startsWith(this.presencePrefix)) return { channel: name, slot: slotOf(PRESENCE) }
    const tag = TAGS[slotOf(name) % SHARDS] as string
    return { channel: `${this.#prefix}{${tag}}:${name.slice(this.#prefix.length)}`, slot: slotOf(tag) }
  }

  /** The name that has its place at this channel. */
  nameOf(channel: string): string {
    const tag = /^\{\d+\}:/.exec(channel.slice(this.#prefix.length))?.[0] ?? ''
    return this.#prefix + channel.slice(this.#prefix.length + tag.length)
  }
}

/** Those of one slot together. */
export function bySlot<T>(all: readonly T[], slotIn: (one: T) => number): T[][] {
  const groups = new Map<number, T[]>()
  for (const one of all) {
    const slot = slotIn(one)
    const group = groups.get(slot)
    if (group) group.push(one)
    else groups.set(slot, [one])
  }
  return [...groups.values()]
}

/** Of a channel or key with a tag. */
export function slotOfChannel(channel: string): number {
  return slotOf(/\{([^}]+)\}/.exec(channel)?.[1] ?? channel)
}
