/** The rows of a virtual list that are there, and one more: what has the focus stays in the document, wherever one scrolls. */
export function withRow(indexes: number[], row: number, count: number): number[] {
  if (row < 0 || row >= count || indexes.includes(row)) return indexes
  return [...indexes, row].sort((a, b) => a - b)
}

/** The row that has this value in its `data-` attribute; undefined while it is not in the document. */
export function rowIn(list: HTMLElement | null, attribute: string, value: string): HTMLElement | undefined {
  return list?.querySelector<HTMLElement>(`[data-${attribute}="${CSS.escape(value)}"]`) ?? undefined
}
