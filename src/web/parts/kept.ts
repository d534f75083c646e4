type Place = 'localStorage' | 'sessionStorage'

/** What a storage of the browser has under a key. Storage may be forbidden altogether: then nothing is kept. */
export function kept(key: string, place: Place = 'localStorage'): string | undefined {
  try {
    return globalThis[place].getItem(key) ?? undefined
  } catch {
    return undefined
  }
}

export function keep(key: string, value: string | undefined, place: Place = 'localStorage'): void {
  try {
    if (value === undefined) globalThis[place].removeItem(key)
    else globalThis[place].setItem(key, value)
  } catch {
    // Then it is asked for again the next time.
  }
}
