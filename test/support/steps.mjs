// Runs the steps of a check one after the other and closes with one plain line that counts them.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
// A step that hangs is a step that fails; the whole suite takes a fraction of this.
const stepLimitMs = 9 * 60_000

/** @typedef {{ passed: number, failed: number, failures?: string[] }} Counts */
/** @typedef {{ title: string, run: () => Promise<Counts> }} Step */

/** Resolves with the exit code of a program whose output goes straight through, or 1 when a signal ended it. */
function exitCodeOf(program, args) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: root, stdio: 'inherit', timeout: stepLimitMs })
    child.on('error', (error) => {
      process.stderr.write(`${program}: ${error.message}\n`)
      resolve(1)
    })
    child.on('close', (code) => resolve(code ?? 1))
  })
}

const installed = (name) => join(root, 'node_modules', '.bin', name)

/** A step that is one program and counts as one. */
function programStep(title, program, args) {
  return {
    title,
    run: async () => ((await exitCodeOf(program, args)) === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }),
  }
}

/**
 * Counts of one vitest run. Files that could not be loaded, errors outside any test, a crash without a report and a run
 * without tests each count as failed: none of them appears among vitest's failed tests.
 */
export function countTests(report, exitCode) {
  const passed = report?.numPassedTests ?? 0
  const brokenFiles = (report?.testResults ?? []).filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  ).length
  const failed = (report?.numFailedTests ?? 0) + brokenFiles
  const isUnexplained = failed === 0 && (exitCode !== 0 || passed === 0)
  return { passed, failed: isUnexplained ? 1 : failed }
}

/** One line for each test or file of a vitest run that failed, with the first line of why. */
export function failuresOf(report) {
  return (report?.testResults ?? []).flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(root, name)
    const failed = assertionResults.filter((test) => test.status === 'failed')
    if (failed.length === 0) return status === 'failed' ? [`${file}: ${firstLine(message)}`] : []
    return failed.map(({ fullName, failureMessages }) => `${file} > ${fullName}: ${firstLine(failureMessages?.[0])}`)
  })
}

function firstLine(text = '') {
  return text.split('\n', 1)[0]
}

function vitestStep(title, args) {
  return { title, run: () => runVitest(args) }
}

async function runVitest(args) {
  const directory = await mkdtemp(join(tmpdir(), 'vitest-report-'))
  const reportFile = join(directory, 'report.json')
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`]
    const exitCode = await exitCodeOf(installed('vitest'), [
      'run',
      '--config',
      'test/vitest.config.ts',
      ...reporters,
      ...args,
    ])
    const report = existsSync(reportFile) ? JSON.parse(await readFile(reportFile, 'utf8')) : undefined
    return { ...countTests(report, exitCode), failures: failuresOf(report) }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

export const formatAndLint = programStep('format and lint', installed('biome'), ['check', '--error-on-warnings', '.'])
export const types = programStep('types', installed('tsc'), ['-p', '.', '--noEmit'])
export const build = programStep('build', installed('tsc'), ['-p', 'src'])
export const unitTests = vitestStep('architecture and unit tests', ['--project', 'unit'])
export const allTests = vitestStep('all tests', [])

/** The benches on their smallest load, to see that they still run. */
export const benchSmoke = programStep('bench smoke', 'npm', ['run', '--silent', 'bench', '--', '--smoke'])
/** Every fault scenario once, with fixed seeds. */
export const faultsSmoke = programStep('faults smoke', 'npm', ['run', '--silent', 'faults', '--', '--smoke'])

/** Runs every step, also after a failed one, prints `N passed, N failed` as the last line and sets the exit code. */
export async function runSteps(/** @type {Step[]} */ steps) {
  const total = { passed: 0, failed: 0 }
  const summary = []
  for (const step of steps) {
    process.stdout.write(`\n── ${step.title}\n`)
    const startedAt = performance.now()
    const { passed, failed, failures = [] } = await step.run()
    total.passed += passed
    total.failed += failed
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    summary.push(`${failed === 0 ? 'ok    ' : 'FAILED'}  ${step.title} (${seconds} s)`)
    // Said again at the end: in a long log the failure itself is far above.
    for (const failure of failures) summary.push(`        ${failure}`)
  }
  process.exitCode = total.failed === 0 ? 0 : 1
  process.stdout.write(`\n${summary.join('\n')}\n\n${total.passed} passed, ${total.failed} failed\n`)
}
