// What became of sends, and how long it took, read from a history.
import type { Entry } from './history.ts'

export interface Answer {
  readonly id: string
  readonly from: string
  readonly to: string
  readonly invokedMs: number
  /** When the outcome came; undefined: it has not. */
  readonly answeredMs: number | undefined
  /** `info`: the outcome will never be heard. */
  readonly outcome: 'ok' | 'fail' | 'info' | undefined
  /** When the person written to first saw it. */
  readonly seenMs: number | undefined
}

/** Of sends that were tried once each. */
export function answersOf(entries: readonly Entry[]): Answer[] {
  const answers = new Map<string, Answer>()
  for (const entry of entries) {
    if (entry.e === 'invoke') {
      const { id, from, to, t } = entry
      const open = { answeredMs: undefined, outcome: undefined, seenMs: undefined }
      answers.set(id, { id, from, to, invokedMs: t, ...open })
    } else if (entry.e === 'ok' || entry.e === 'fail' || entry.e === 'info') {
      const answer = answers.get(entry.id)
      if (answer && !answer.outcome) answers.set(entry.id, { ...answer, outcome: entry.e, answeredMs: entry.t })
    } else if (entry.e === 'recv') {
      const answer = answers.get(entry.id)
      if (answer && answer.to === entry.u && answer.seenMs === undefined)
        answers.set(entry.id, { ...answer, seenMs: entry.t })
    }
  }
  return [...answers.values()]
}

export const tookMs = ({ invokedMs, answeredMs }: Answer): number =>
  (answeredMs ?? Number.POSITIVE_INFINITY) - invokedMs

/** Neither a definite answer in time: one that came late, none, or a lost connection. */
export function indefinite(answers: readonly Answer[], limitMs: number): Answer[] {
  return answers.filter((answer) => (answer.outcome !== 'ok' && answer.outcome !== 'fail') || tookMs(answer) > limitMs)
}

/** Acked before this moment and not seen by it. */
export function unseenAt(answers: readonly Answer[], ackedBeforeMs: number): Answer[] {
  return answers.filter(({ outcome, answeredMs, seenMs }) => {
    return outcome === 'ok' && (answeredMs ?? 0) < ackedBeforeMs && seenMs === undefined
  })
}
