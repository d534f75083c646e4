export interface ArrayMoves {
  /** Elements that arrays had to move or look through so far: work that can be counted, unlike time. */
  readonly count: number
  stop(): void
}

const MOVING = ['shift', 'unshift', 'splice', 'indexOf', 'includes', 'findIndex', 'filter'] as const

/** Counts, from now on, how many elements each call of an array's method may have to move or to look through. */
export function countArrayMoves(): ArrayMoves {
  const originals = MOVING.map((name) => [name, Array.prototype[name]] as const)
  const moves = {
    count: 0,
    stop() {
      for (const [name, original] of originals) replace(name, original)
    },
  }
  for (const [name, original] of originals) {
    replace(name, function counted(this: unknown[], ...args: unknown[]) {
      moves.count += this.length
      return Reflect.apply(original, this, args)
    })
  }
  return moves
}

function replace(name: (typeof MOVING)[number], value: unknown): void {
  Object.defineProperty(Array.prototype, name, { value, writable: true, configurable: true, enumerable: false })
}
