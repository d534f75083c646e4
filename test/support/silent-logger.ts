import type { Logger } from '../../src/lib/logger.ts'

const ignore = (): void => undefined

/** Swallows everything; for tests that look at results only. It needs nothing, so that the run of faults may have it too. */
export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }
