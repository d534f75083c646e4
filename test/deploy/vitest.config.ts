import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { DeployReport } from './report.ts'

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
    include: [
      'test/deploy/**/*.{test,deploy}.ts',
      'test/unit/deploy/*.test.ts',
      'test/integration/postgres/pgbouncer.test.ts',
    ],
    globalSetup: ['test/deploy/install.ts', 'test/support/global-setup.ts'],
    provide: { playsAll: true },
    reporters: ['default', new DeployReport()],
  },
})
