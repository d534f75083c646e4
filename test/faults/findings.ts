/** What a history can show to be wrong, in the words of Jepsen where it has some. */
export const ANOMALIES = {
  lost: 'acked, but absent from what a fresh device reads',
  aborted: 'definitely failed, but stored or seen by somebody',
  duplicate: 'one send under two seqs, or acked with two',
  'visible duplicate': 'applied twice, or lower than before, on one device',
  inconsistent: 'one seq with two messages or texts, for two readers or at two times',
  'nonmonotonic send': 'sent later by the same person, but standing earlier',
  skipped: 'applied beyond a hole',
  hole: 'numbers that are not 1, 2, 3 …: count and highest seq differ',
  phantom: 'seen, but never sent there, or not stored',
  stale: 'a read that began after an ack and misses what was acked',
  unhealed: 'a push that was lost and not made up for while the device stayed connected',
  unseen: 'missing on a device after everything was repaired and it has connected again',
  'ack regression': 'a position that was told and then forgotten',
} as const

export type AnomalyName = keyof typeof ANOMALIES

export interface Anomaly {
  readonly name: AnomalyName
  readonly count: number
  /** The first few. */
  readonly examples: readonly string[]
}

const MAX_EXAMPLES = 5

export class Findings {
  readonly #found = new Map<AnomalyName, { count: number; examples: string[] }>()

  add(name: AnomalyName, example: string): void {
    const known = this.#found.get(name) ?? { count: 0, examples: [] }
    this.#found.set(name, known)
    known.count += 1
    if (known.examples.length < MAX_EXAMPLES) known.examples.push(example)
  }

  list(): Anomaly[] {
    return [...this.#found].map(([name, found]) => ({ name, ...found }))
  }
}

/** With no failure in n trials the rate is below this with 95 % confidence (rule of three). */
export function upperBound(n: number): number {
  return n === 0 ? 1 : Math.min(1, 3 / n)
}
