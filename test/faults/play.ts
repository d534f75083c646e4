import type { Scenario } from './scenario.ts'
import type { World } from './world.ts'

export interface Outcome {
  readonly name: string
  readonly wrong: readonly string[]
  readonly seconds: number
}

/** A scenario that breaks off has failed. */
export async function play({ name, run }: Scenario, world: World, seed: number): Promise<Outcome> {
  const startedMs = performance.now()
  const wrong = await run(world, seed).catch((error: unknown) => [`broke off: ${String(error)}`])
  return told({ name, wrong, seconds: (performance.now() - startedMs) / 1000 })
}

export function told(outcome: Outcome): Outcome {
  const { name, wrong, seconds } = outcome
  process.stdout.write(`${wrong.length === 0 ? 'ok    ' : 'FAILED'}  ${name} (${seconds.toFixed(1)} s)\n`)
  for (const line of wrong) process.stdout.write(`          ${line}\n`)
  return outcome
}
