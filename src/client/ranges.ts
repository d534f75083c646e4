/** A run of consecutive numbers, both ends included. */
export type Range = readonly [first: number, last: number]

/** Adds a run to ascending runs that do not touch; those that touch it become one with it. */
export function withRange(ranges: readonly Range[], [first, last]: Range): readonly Range[] {
  const below = ranges.filter((range) => range[1] < first - 1)
  const above = ranges.filter((range) => range[0] > last + 1)
  const touched = ranges.slice(below.length, ranges.length - above.length)
  const joined: Range = [Math.min(first, touched[0]?.[0] ?? first), Math.max(last, touched.at(-1)?.[1] ?? last)]
  return [...below, joined, ...above]
}

/** Takes one number out. */
export function withoutSeq(ranges: readonly Range[], seq: number): readonly Range[] {
  const found = rangeAt(ranges, seq)
  const parts = ranges.flatMap((range): Range[] =>
    range === found
      ? [
          [range[0], seq - 1],
          [seq + 1, range[1]],
        ]
      : [range],
  )
  return parts.filter(([first, last]) => first <= last)
}

export function rangeAt(ranges: readonly Range[], seq: number): Range | undefined {
  return ranges.find(([first, last]) => first <= seq && seq <= last)
}

/** How far one can count up from `from` without a gap. */
export function contiguousFrom(ranges: readonly Range[], from: number): number {
  return rangeAt(ranges, from + 1)?.[1] ?? from
}

/**
 * The highest gap: between two runs or, where it is known that everything above `floor` is wanted, under the lowest.
 */
export function highestGap(ranges: readonly Range[], floor = Number.POSITIVE_INFINITY): Range | undefined {
  for (let index = ranges.length - 1; index >= 0; index -= 1) {
    const below = index > 0 ? ranges[index - 1]?.[1] : floor
    const first = ranges[index]?.[0]
    if (below !== undefined && first !== undefined && below + 1 < first) return [below + 1, first - 1]
  }
  return undefined
}
