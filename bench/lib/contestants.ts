/** Who runs against whom in one bench. */
export interface Contestant {
  readonly name: string
  /** What its row is called. */
  readonly label: string
}

/** A name given twice stays two contestants: what differs between them is noise. */
export function contestantsOf(names: readonly string[]): Contestant[] {
  return names.map((name, index) => ({ name, label: names.indexOf(name) === index ? name : `${name} (${index + 1})` }))
}
