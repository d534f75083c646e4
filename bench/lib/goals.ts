/** What the project wants to reach, and whether a run reached it. */

import type { Spread } from './stats.ts'
import type { Table } from './table.ts'

export interface Goal {
  readonly bench: string
  readonly title: string
  readonly wanted: { readonly atLeast: number } | { readonly atMost: number }
  readonly unit: string
  readonly measured: Spread
}

export function goalsTable(goals: readonly Goal[]): Table {
  const row = (goal: Goal): string[] => {
    const { median, low, high } = goal.measured
    const wanted = 'atLeast' in goal.wanted ? `≥ ${goal.wanted.atLeast}` : `≤ ${goal.wanted.atMost}`
    const measured = `${median.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]`
    return [goal.bench, goal.title, `${wanted} ${goal.unit}`, `${measured} ${goal.unit}`, verdictOf(goal)]
  }
  return { title: 'goals', columns: ['bench', 'goal', 'wanted', 'measured [95 %]', ''], rows: goals.map(row) }
}

/** By the bad end of the interval; a median that alone would do is called what it is. */
function verdictOf({ wanted, measured: { median, low, high } }: Goal): string {
  const reaches = (value: number) => ('atLeast' in wanted ? value >= wanted.atLeast : value <= wanted.atMost)
  if (reaches('atLeast' in wanted ? low : high)) return 'met'
  return reaches(median) ? 'met by the median only' : 'missed'
}
