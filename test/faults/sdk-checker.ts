// Judges what people with the SDK typed and were shown against what the service has kept.
import { conversationOf, type Row } from './history.ts'
import type { SdkEntry } from './sdk-journal.ts'

export interface SdkVerdict {
  /** In words; the first few of each kind. */
  readonly wrong: readonly string[]
  readonly typed: number
  readonly acked: number
  readonly told: number
}

export interface SdkCheckOptions {
  /** Where each device stood at the end, conversation by conversation. */
  readonly standing: readonly { readonly user: string; readonly heads: readonly (readonly [string, number])[] }[]
}

type Typed = Extract<SdkEntry, { e: 'typed' }>
const MAX_EXAMPLES = 5
const userOf = (device: string): string => device.slice(0, device.indexOf('/'))

/** `rows`: everything that is stored, by conversation. */
export function checkSdk(
  journals: readonly (readonly SdkEntry[])[],
  rows: ReadonlyMap<string, readonly Row[]>,
  { standing }: SdkCheckOptions,
): SdkVerdict {
  const wrong = new Map<string, string[]>()
  const complain = (kind: string, example: string): void => {
    wrong.set(kind, [...(wrong.get(kind) ?? []), example])
  }
  const places = placesOf(rows, complain)
  const entries = journals.flat()
  const typed = entries.filter((entry) => entry.e === 'typed')
  checkTyped(typed, places, complain)
  let acked = 0
  for (const entry of entries) {
    if (entry.e === 'reset') complain('reset', `${entry.d} with ${entry.w}`)
    if (entry.e === 'unkept') checkUnkept(entry, rows, complain)
    if (entry.e !== 'settled') continue
    if (entry.outcome !== 'ok') complain('refused', `${entry.d} ${entry.id}: ${entry.outcome}`)
    else if (places.get(entry.id)?.seq !== entry.seq) complain('acked but not kept', `${entry.id} as ${entry.seq}`)
    else acked += 1
  }
  const told = journals.reduce((sum, journal) => sum + checkTold(journal, rows, complain), 0)
  for (const { user, heads } of standing)
    for (const [other, head] of heads) {
      const length = rows.get(conversationOf(user, other))?.length ?? 0
      if (head !== length) complain('stuck', `${user} with ${other} at ${head} of ${length}`)
    }
  const words = [...wrong].map(([kind, all]) => `${kind} × ${all.length}: ${all.slice(0, MAX_EXAMPLES).join('; ')}`)
  return { wrong: words, typed: typed.length, acked, told }
}

function placesOf(
  rows: ReadonlyMap<string, readonly Row[]>,
  complain: (kind: string, example: string) => void,
): Map<string, { conversation: string; seq: number }> {
  const places = new Map<string, { conversation: string; seq: number }>()
  for (const [conversation, all] of rows)
    for (const [seq, id] of all) {
      if (places.has(id)) complain('doubled', `${id} in ${conversation}`)
      places.set(id, { conversation, seq })
    }
  return places
}

/** Everything typed is there, once, and in the order of typing of its device. */
function checkTyped(
  typed: readonly Typed[],
  places: ReadonlyMap<string, { conversation: string; seq: number }>,
  complain: (kind: string, example: string) => void,
): void {
  const lasts = new Map<string, number>()
  for (const { d, w, id } of typed) {
    const place = places.get(id)
    if (!place) {
      complain('lost', `${d} to ${w}: ${id}`)
      continue
    }
    if (place.conversation !== conversationOf(userOf(d), w)) complain('misplaced', `${id} in ${place.conversation}`)
    const key = `${d} ${w}`
    if (place.seq <= (lasts.get(key) ?? 0)) complain('out of order', `${d} to ${w}: ${id} at ${place.seq}`)
    lasts.set(key, place.seq)
  }
}

/** The server moves the sender's own position along; what others wrote must be on a disk before it is acknowledged. */
function checkUnkept(
  { d, w, seq, missing }: Extract<SdkEntry, { e: 'unkept' }>,
  rows: ReadonlyMap<string, readonly Row[]>,
  complain: (kind: string, example: string) => void,
): void {
  const all = rows.get(conversationOf(userOf(d), w)) ?? []
  const theirs = missing.filter((one) => all[one - 1]?.[2] !== userOf(d))
  if (theirs.length > 0) complain('acked but not on disk', `${d} with ${w} up to ${seq}: ${theirs.join(' ')}`)
}

/** Each device is shown every number once, in order; a killed one goes on where its storage stood, or a little before. */
function checkTold(
  journal: readonly SdkEntry[],
  rows: ReadonlyMap<string, readonly Row[]>,
  complain: (kind: string, example: string) => void,
): number {
  const lasts = new Map<string, number>()
  let resumed = new Set<string>()
  let count = 0
  for (const entry of journal) {
    if (entry.e === 'start') resumed = new Set()
    if (entry.e !== 'told') continue
    const { d, w, id, seq } = entry
    const key = `${d} ${w}`
    const last = lasts.get(key)
    const mayRepeat = !resumed.has(key)
    resumed.add(key)
    const isNext = last === undefined || seq === last + 1 || (mayRepeat && seq <= last)
    if (!isNext) complain(seq <= last ? 'shown twice' : 'skipped', `${d} with ${w}: ${seq} after ${last}`)
    if (rows.get(conversationOf(userOf(d), w))?.[seq - 1]?.[1] !== id)
      complain('phantom', `${d} with ${w}: ${id} at ${seq}`)
    lasts.set(key, seq)
    count += 1
  }
  return count
}
