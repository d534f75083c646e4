import type { Positions } from '../protocol/message.ts'

/** How far an own message that is stored has come. */
export type Tick = 'sent' | 'delivered' | 'read'

export const NO_POSITIONS: Positions = { delivered_seq: 0, read_seq: 0, peer_delivered_seq: 0, peer_read_seq: 0 }

const NAMES = ['delivered_seq', 'read_seq', 'peer_delivered_seq', 'peer_read_seq'] as const

/** Derived, never kept with the message: receipts may come in any order, and before the reply to the send. */
export function tickOf(seq: number, { peer_delivered_seq, peer_read_seq }: Positions): Tick {
  if (seq <= peer_read_seq) return 'read'
  return seq <= peer_delivered_seq ? 'delivered' : 'sent'
}

/** Positions only move up. Gives back the same object when nothing moved. */
export function moved(positions: Positions, change: Partial<Positions>): Positions {
  const higher = (name: keyof Positions): number => Math.max(positions[name], change[name] ?? 0)
  const [read_seq, peer_read_seq] = [higher('read_seq'), higher('peer_read_seq')]
  const next: Positions = {
    // What is read is delivered.
    delivered_seq: Math.max(higher('delivered_seq'), read_seq),
    read_seq,
    peer_delivered_seq: Math.max(higher('peer_delivered_seq'), peer_read_seq),
    peer_read_seq,
  }
  return NAMES.every((name) => next[name] === positions[name]) ? positions : next
}
