/** A text, told by this name, with others in these places; each of them has to be in it. */
export function changedText(name: string, text: string, texts: Readonly<Record<string, string>>): string {
  return Object.entries(texts).reduce((all, [from, to]) => {
    if (!all.includes(from)) throw new Error(`${name} has no text ${from}`)
    return all.replaceAll(from, to)
  }, text)
}
