type Place = 'localStorage' | 'sessionStorage'

/** What could not be kept in a storage, which may be full or forbidden altogether: it is here until the page is loaded anew. */
const memory = new Map<string, string>()

/** What a storage of the browser has under a key. */
export function kept(key: string, place: Place = 'localStorage'): string | undefined {
  return memory.get(`${place} ${key}`) ?? stored(key, place)
}

export function keep(key: string, value: string | undefined, place: Place = 'localStorage'): void {
  memory.delete(`${place} ${key}`)
  try {
    if (value === undefined) globalThis[place].removeItem(key)
    else globalThis[place].setItem(key, value)
  } catch {
    if (value === undefined) return
    memory.set(`${place} ${key}`, value)
    // One that is full takes nothing new, and must not bring the old one back with the next load.
    if (stored(key, place) !== undefined) globalThis[place].removeItem(key)
  }
}

/** Whether it is there also when the page is loaded anew. */
export const isLasting = (key: string, place: Place): boolean => stored(key, place) !== undefined

function stored(key: string, place: Place): string | undefined {
  try {
    return globalThis[place].getItem(key) ?? undefined
  } catch {
    return undefined
  }
}
