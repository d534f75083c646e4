const SETTLED_MS = 10_000

/**
 * Whether this page has just been loaded anew. One that still finds a reason to is not loaded again and again: the instances of
 * a service may be of two builds or two settings for a while.
 */
export function isJustReloaded(): boolean {
  const [entry] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[]
  return entry?.type === 'reload' && performance.now() < SETTLED_MS
}
