import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

// The collector can be called without a flag of the process: a context made after the flag was set has it.
setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

const ENTRIES = 2000

/** Bytes of heap that stay for each kept result of `make`, over 2,000 of them. */
export function heldBytesPerEntry(make: (index: number) => unknown): number {
  // Whatever is made once, such as compiled code, is made here.
  for (let index = 0; index < 100; index += 1) make(index)
  const kept: unknown[] = new Array(ENTRIES)
  const before = usedBytes()
  for (let index = 0; index < ENTRIES; index += 1) kept[index] = make(index)
  const bytes = usedBytes() - before
  // Kept until here, whatever the compiler thinks of it.
  if (kept.length !== ENTRIES) throw new Error('unreachable')
  return bytes / ENTRIES
}

function usedBytes(): number {
  collect()
  return process.memoryUsage().heapUsed
}
