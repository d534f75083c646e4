/** How well a text fits what was typed: 0 exactly its beginning, higher is worse, undefined not at all. */
export function fitOf(text: string, typed: string): number | undefined {
  const [whole, wanted] = [plain(text), plain(typed)]
  if (wanted === '') return 0
  const words = [whole, ...whole.split(/[\s._@+-]+/)]
  if (words.some((word) => word.startsWith(wanted))) return whole.startsWith(wanted) ? 0 : 1
  if (whole.includes(wanted)) return 2
  // One slip of the finger, in a word long enough that it is one.
  return wanted.length >= 4 && words.some((word) => isOneSlipFrom(word, wanted)) ? 3 : undefined
}

/** Without case and accents. */
function plain(text: string): string {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase().trim()
}

/** Whether the word begins with the typed letters but for one that is wrong, missing, too many, or swapped with the next. */
function isOneSlipFrom(word: string, typed: string): boolean {
  let same = 0
  while (same < typed.length && word[same] === typed[same]) same += 1
  const [rest, wanted] = [word.slice(same), typed.slice(same)]
  const swapped = `${wanted[1] ?? ''}${wanted[0] ?? ''}${wanted.slice(2)}`
  return [
    rest.slice(1).startsWith(wanted.slice(1)),
    rest.slice(1).startsWith(wanted),
    rest.startsWith(wanted.slice(1)),
    rest.startsWith(swapped),
  ].some(Boolean)
}
