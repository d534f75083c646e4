import type { Asker } from './asker.ts'

/** Whose an address is, as far as it can be told. */
export type Network = Pick<Asker, 'address' | 'isNetworkShared'>

/** Of the /64 of an IPv6 address the /48: one customer of a provider may have it, and with it 65,536 networks. */
export function siteOf(address: string): string | undefined {
  const [, groups] = /^((?:[\da-f]+:){3})[\da-f]+::\/64$/.exec(address) ?? []
  return groups
}

/** What a network counts as by itself, unless many share it, and what it counts as together with others. */
export function countedAs({ address, isNetworkShared }: Network): {
  own?: string | undefined
  wide?: string | undefined
} {
  return isNetworkShared ? { wide: address } : { own: address, wide: siteOf(address) }
}
