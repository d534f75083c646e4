/** The rows of a virtual list that are there, and one more: what has the focus stays in the document, wherever one scrolls. */
export function withRow(indexes: number[], row: number, count: number): number[] {
  if (row < 0 || row >= count || indexes.includes(row)) return indexes
  return [...indexes, row].sort((a, b) => a - b)
}
