import { setTimeout as delay } from 'node:timers/promises'
import type { History } from './history.ts'
import { NEMESES, type Nemesis } from './nemeses.ts'
import type { Random } from './random.ts'
import type { World } from './world.ts'

export interface NemesisPlan {
  readonly forMs: number
  /** Mean time between two faults' beginnings. */
  readonly gapMs: number
  /** Faults at the same time. */
  readonly atOnce: number
}

/** Lets faults happen, alone and together, and resolves when the last has ended, with how often each was done. */
export async function runNemeses(
  world: World,
  random: Random,
  history: History,
  { forMs, gapMs, atOnce }: NemesisPlan,
): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  const held = new Set<string>()
  const running = new Set<Promise<void>>()
  const failures: unknown[] = []
  for (const endMs = performance.now() + forMs; performance.now() < endMs && failures.length === 0; ) {
    await delay(random.between(0, 2 * gapMs))
    const nemesis = pickWeighted(random)
    const target = nemesis.holds(world, random)
    if (held.size >= atOnce || held.has(target)) continue
    held.add(target)
    history.add({ e: 'fault', name: nemesis.name, phase: 'start', target })
    const act = nemesis
      .act(world, random, target)
      .catch((error: unknown) => tolerate(nemesis, held, error, failures))
      .finally(() => {
        held.delete(target)
        running.delete(act)
        counts.set(nemesis.name, (counts.get(nemesis.name) ?? 0) + 1)
        history.add({ e: 'fault', name: nemesis.name, phase: 'stop', target })
      })
    running.add(act)
  }
  await Promise.all(running)
  if (failures.length > 0) throw failures[0]
  return counts
}

/** What a fault needs may be away because of another one. */
function tolerate(nemesis: Nemesis, held: Set<string>, error: unknown, failures: unknown[]): void {
  const needs = /Redis|FLUSH|CLIENT|output/.test(nemesis.name) || /backend/.test(nemesis.name)
  if (!needs || held.size === 0) failures.push(error)
}

function pickWeighted(random: Random): Nemesis {
  let at = random.next() * NEMESES.reduce((sum, { weight }) => sum + weight, 0)
  for (const nemesis of NEMESES) {
    at -= nemesis.weight
    if (at < 0) return nemesis
  }
  return random.pick(NEMESES)
}
