// What a phone does with its disk: every write is in the page cache before it is acknowledged, so that a killed process finds it again.
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import type { Change, Message, StorageDriver } from '../../src/client/index.ts'
import { MemoryStorage } from '../../src/client/memory-storage.ts'

export class FileStorage extends MemoryStorage {
  readonly #path: string
  readonly #beforeWrite: () => void
  /** Which messages are kept, by conversation. */
  readonly #kept = new Map<string, Set<number>>()

  constructor(path: string, beforeWrite: () => void) {
    super()
    this.#beforeWrite = beforeWrite
    this.#path = path
    for (const line of existsSync(path) ? readFileSync(path, 'utf8').split('\n') : []) {
      const changes = parsed(line)
      if (changes) this.#apply(changes)
    }
    // A line that was cut off by a kill is ended.
    appendFileSync(path, '\n')
  }

  has(other: string, seq: number): boolean {
    return this.#kept.get(other)?.has(seq) ?? false
  }

  override write(changes: readonly Change[]): Promise<void> {
    this.#beforeWrite()
    appendFileSync(this.#path, `${JSON.stringify(changes)}\n`)
    this.#apply(changes)
    return Promise.resolve()
  }

  #apply(changes: readonly Change[]): void {
    void super.write(changes)
    for (const change of changes)
      if ('put' in change && change.put === 'messages') this.#keep(change.row.with, change.row)
  }

  #keep(other: string, { seq }: Message): void {
    const seqs = this.#kept.get(other) ?? new Set<number>()
    this.#kept.set(other, seqs.add(seq))
  }
}

export function fileStorage(storage: FileStorage): StorageDriver {
  return { kind: 'persistent', open: () => Promise.resolve(storage) }
}

function parsed(line: string): readonly Change[] | undefined {
  if (!line.startsWith('[')) return undefined
  try {
    return JSON.parse(line)
  } catch {
    return undefined // torn by a kill: it was not acknowledged
  }
}
