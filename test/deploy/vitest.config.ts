import { fileURLToPath } from 'node:url'
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config'
import { valkeyOfDebian13 } from '../support/debian13.ts'
import type { SetUpKind } from '../support/redis-set-up.ts'
import { DeployReport } from './report.ts'

/** Why Valkey cannot be had here; undefined: it can. */
const withoutValkey = await valkeyOfDebian13().then(
  () => undefined,
  (error: Error) => error.message,
)

/** `npm run deploy`: every play, with the programs that can be installed; what cannot be played fails. */
export default defineConfig({
  test: {
    root: fileURLToPath(new URL('../..', import.meta.url)),
    pool: 'forks',
    maxWorkers: 1,
    fileParallelism: false,
    retry: 0,
    testTimeout: 120_000,
    hookTimeout: 90_000,
    reporters: ['default', new DeployReport(withoutValkey === undefined ? [] : [`over valkey: ${withoutValkey}`])],
    projects: [
      {
        extends: true,
        test: {
          name: 'samples',
          include: [
            'test/deploy/**/*.{test,deploy}.ts',
            'test/unit/deploy/*.test.ts',
            'test/integration/postgres/pgbouncer.test.ts',
          ],
          globalSetup: ['test/deploy/install.ts', 'test/support/global-setup.ts'],
          provide: { playsAll: true },
        },
      },
      overRedis('cluster'),
      overRedis('sentinels'),
      ...(withoutValkey === undefined ? [overRedis('valkey')] : []),
    ],
  },
})

/** What any Redis has to pass, as `npm test` runs it over one server. */
function overRedis(kind: SetUpKind): TestProjectInlineConfiguration {
  return {
    extends: true,
    test: {
      name: `over ${kind}`,
      include: ['test/contract/{broker,presence}.redis.test.ts', 'test/e2e/cluster-*.test.ts'],
      globalSetup: ['test/support/global-setup.ts'],
      provide: { redisKind: kind },
      testTimeout: 300_000,
    },
  }
}
