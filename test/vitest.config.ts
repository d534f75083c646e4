import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const withoutServers = [
  'test/architecture.test.ts',
  'test/unit/**/*.test.{ts,tsx}',
  'test/contract/**/*.memory*.test.ts',
  'test/faults/**/*.test.ts',
]

const inPages = ['test/unit/*-dom/**/*.test.{ts,tsx}']

/**
 * Three projects: `unit` needs nothing beside Node, `unit-dom` has what a page has, `integration` gets its servers from the
 * global set-up. A process runs files of one project alone: files of the same kind stand together, so that few are started.
 */
export default defineConfig({
  test: {
    root: fileURLToPath(new URL('..', import.meta.url)),
    // uWebSockets.js aborts the process when a worker thread ends before its app is closed; processes are safe.
    pool: 'forks',
    // Files of one process share the modules they have loaded: to load them anew for each took as long as a third of the tests.
    isolate: false,
    // One more than the cores of the smallest machine: most of the time a test waits for a server.
    maxWorkers: 3,
    retry: 0,
    setupFiles: ['test/support/file-cpu.mjs'],
    // Far above what any test takes: only one that hangs reaches it, however busy the machine is.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // The default is one second, which a busy machine may take for a single look.
    expect: { poll: { timeout: 30_000 } },
    projects: [
      { extends: true, test: { name: 'unit', include: withoutServers, exclude: inPages } },
      { extends: true, test: { name: 'unit-dom', include: inPages, environment: 'happy-dom' } },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['test/{contract,integration,e2e,deploy}/**/*.test.ts'],
          exclude: withoutServers,
          globalSetup: ['test/support/global-setup.ts'],
        },
      },
    ],
  },
})
