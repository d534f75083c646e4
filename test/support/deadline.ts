/** Settles as `promise` does, or rejects when it takes longer: a test that waits for an event must not wait for ever. */
export async function within<T>(promise: Promise<T>, what: () => string, limitMs = 60_000): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${limitMs} ms: ${what()}`)), limitMs)
  })
  try {
    return await Promise.race([promise, limit])
  } finally {
    clearTimeout(timer)
  }
}
