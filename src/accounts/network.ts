import type { Asker } from './asker.ts'

/** Whose an address is, as far as it can be told. */
export type Network = Pick<Asker, 'address' | 'isNetworkShared'>

/** Of the /64 of an IPv6 address the /48: one customer of a provider may have it, and with it 65,536 networks. */
export function siteOf(address: string): string | undefined {
  const [, groups] = /^((?:[\da-f]+:){3})[\da-f]+::\/64$/.exec(address) ?? []
  return groups
}

/** One name that a network counts by: `own` by itself, `wide` together with others, who have more. */
export interface Counted {
  readonly name: string
  readonly as: 'own' | 'wide'
}

/** All that a network counts as: one that many share is no network by itself. */
export function countedAs({ address, isNetworkShared }: Network): readonly Counted[] {
  if (isNetworkShared) return [{ name: address, as: 'wide' }]
  const site = siteOf(address)
  return [{ name: address, as: 'own' }, ...(site === undefined ? [] : [{ name: site, as: 'wide' } as const])]
}
