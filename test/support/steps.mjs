// Runs the steps of a check one after the other and closes with one plain line that counts them.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cpuSeconds } from './cpu-time.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
// A step that hangs is a step that fails; on a machine that is busy with other things one may take several times as long.
const stepLimitMs = 60 * 60_000

// Of what runs behind something else, as nice(1) has it: a tenth of the weight.
const NICENESS = 10

/** @typedef {{ title: string, seconds: string, failed: number }} Part */
/** @typedef {{ passed: number, failed: number, failures?: string[], skipped?: string[], slowest?: { files: string[], tests: string[] }, costliest?: string[], parts?: Part[] }} Counts */
/** @typedef {{ title: string, run: (place?: { isBeside?: boolean, isBehind?: boolean }) => Promise<Counts> }} Step */

/**
 * Resolves with the exit code of a program, or 1 when a signal ended it. Its output goes straight through, or comes in one piece
 * at its end when it runs beside another program, or behind others.
 */
function exitCodeOf(program, args, { env = {}, isBeside = false, isBehind = false } = {}) {
  return new Promise((resolve) => {
    const stdio = isBeside || isBehind ? ['ignore', 'pipe', 'pipe'] : 'inherit'
    const options = { cwd: root, stdio, timeout: stepLimitMs, env: { ...process.env, ...env } }
    const [first, ...rest] = isBehind ? ['nice', '-n', String(NICENESS), program, ...args] : [program, ...args]
    const child = spawn(first, rest, options)
    const output = []
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => output.push(chunk))
    child.on('error', (error) => {
      process.stderr.write(`${program}: ${error.message}\n`)
      resolve(1)
    })
    child.on('close', (code) => {
      process.stdout.write(Buffer.concat(output))
      resolve(code ?? 1)
    })
  })
}

const installed = (name) => join(root, 'node_modules', '.bin', name)

/** A step that is one program and counts as one. */
function programStep(title, program, args) {
  return programsStep(title, [[program, args]])
}

/** A step that runs several programs, one after the other, and counts as one. */
function programsStep(title, runs) {
  return {
    title,
    run: async (place) => {
      let failed = 0
      for (const [program, args] of runs) if ((await exitCodeOf(program, args, place)) !== 0) failed = 1
      return { passed: 1 - failed, failed }
    },
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

/** The names of tests that were not run, such as those of a program that this machine does not have. */
export function skippedOf(report) {
  return (report?.testResults ?? []).flatMap(({ assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === 'skipped' || status === 'pending')
      .map(({ fullName }) => fullName),
  )
}

/** One line for each of the files that took longest, and for each of the tests. */
export function slowestOf(report, count = 10) {
  const files = (report?.testResults ?? []).map(({ name, startTime, endTime }) => ({
    name: relative(root, name),
    ms: endTime - startTime,
  }))
  const tests = (report?.testResults ?? []).flatMap(({ name, assertionResults }) =>
    assertionResults.map(({ fullName, duration }) => ({
      name: `${relative(root, name)} > ${fullName}`,
      ms: duration ?? 0,
    })),
  )
  const lines = (entries) => mostFirst(entries, count)
  return { files: lines(files), tests: lines(tests) }
}

function mostFirst(entries, count) {
  return entries
    .sort((a, b) => b.ms - a.ms)
    .slice(0, count)
    .map(({ name, ms }) => `${(ms / 1000).toFixed(1).padStart(6)} s  ${name}`)
}

/** One line for each of the files that took most CPU time, by what they noted: seconds and a name in each line. */
export function costliestOf(notes, count = 10) {
  const entries = notes.split('\n').flatMap((line) => {
    const [, seconds, name] = /^([\d.]+) (.+)$/.exec(line) ?? []
    return name === undefined ? [] : [{ name, ms: Number(seconds) * 1000 }]
  })
  return mostFirst(entries, count)
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
    const notesFile = join(directory, 'cpu.txt')
    const exitCode = await exitCodeOf(
      installed('vitest'),
      ['run', '--config', 'test/vitest.config.ts', ...reporters, ...args],
      { env: { FILE_CPU_NOTES: notesFile } },
    )
    const report = existsSync(reportFile) ? JSON.parse(await readFile(reportFile, 'utf8')) : undefined
    return {
      ...countTests(report, exitCode),
      failures: failuresOf(report),
      skipped: skippedOf(report),
      slowest: slowestOf(report),
      costliest: existsSync(notesFile) ? costliestOf(await readFile(notesFile, 'utf8')) : [],
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

export const formatAndLint = programStep('format and lint', installed('biome'), ['check', '--error-on-warnings', '.'])
/** Folders with a configuration of their own: what browsers import has to do without Node's types. */
const typedProjects = ['.', 'src/protocol', 'src/client', 'src/web', 'test/unit/client-dom', 'test/unit/web-dom']
const typesStep = (...options) =>
  programsStep(
    'types',
    typedProjects.map((project) => [installed('tsc'), ['-p', project, '--noEmit', ...options]]),
  )
export const types = typesStep()
/** Longer, but in less CPU time: no core is idle that the compiler could use. */
export const typesOnOneCore = typesStep('--singleThreaded')
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
/** What `npm run build` does, and the programs of the last steps, without a look at types: the step `types` checks them all. */
export const build = programsStep('build', [
  ['npm', ['exec', '--call', scripts.build.replace('tsc -p src', '$& --noCheck')]],
  ...['bench', 'test/faults'].map((project) => [installed('tsc'), ['-p', project, '--noCheck']]),
])
export const unitTests = vitestStep('architecture and unit tests', ['--project', 'unit', '--project', 'unit-dom'])
export const allTests = vitestStep('all tests', [])

/** The benches on their smallest load, to see that they still run. */
export const benchSmoke = programStep('bench smoke', process.execPath, ['dist/bench-build/bench/run.js', '--smoke'])
/** Every fault scenario once, with fixed seeds. */
export const faultsSmoke = programStep('faults smoke', process.execPath, [
  'dist/faults-build/test/faults/run.js',
  '--smoke',
])

/** Steps that run at a time and count as one; the first shows what it writes as it writes it. */
export function together(/** @type {Step[]} */ steps) {
  return {
    title: titleOf(steps),
    run: async (place) => {
      const running = steps.map((step, index) => timed(step, index === 0 ? place : { isBeside: true }))
      return sumOf(steps, await Promise.all(running))
    },
  }
}

/** Steps that run one after the other and count as one. */
export function inTurn(/** @type {Step[]} */ steps) {
  return {
    title: titleOf(steps),
    run: async (place) => {
      const counts = []
      for (const step of steps) counts.push(await timed(step, place))
      return sumOf(steps, counts)
    },
  }
}

/** The same, and they leave the cores to what runs beside them: for what meets no deadline. */
export function behind(/** @type {Step[]} */ steps) {
  return { title: titleOf(steps), run: () => inTurn(steps).run({ isBehind: true }) }
}

const titleOf = (steps) => steps.map(({ title }) => title).join(', ')

async function timed(step, place) {
  const startedAt = performance.now()
  const counts = await step.run(place)
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  return { ...counts, parts: counts.parts ?? [{ title: step.title, seconds, failed: counts.failed }] }
}

function sumOf(steps, counts) {
  const sum = (key) => counts.reduce((total, one) => total + one[key], 0)
  const all = (key) => counts.flatMap((one) => one[key] ?? [])
  const failures = counts.flatMap((one, index) => one.failures ?? (one.failed > 0 ? [steps[index].title] : []))
  // Only a run of tests tells them, and there is one.
  const [slowest, costliest] = ['slowest', 'costliest'].map((key) => counts.find((one) => one[key])?.[key])
  const told = { parts: all('parts'), skipped: all('skipped'), failures, slowest, costliest }
  return { passed: sum('passed'), failed: sum('failed'), ...told }
}

/** Runs every step, also after a failed one, prints `N passed, N failed` as the last line and sets the exit code. */
export async function runSteps(/** @type {Step[]} */ steps) {
  const total = { passed: 0, failed: 0 }
  const summary = []
  const beganAt = performance.now()
  for (const step of steps) {
    process.stdout.write(`\n── ${step.title}\n`)
    const cpuBefore = cpuSeconds()
    const { passed, failed, failures = [], skipped = [], slowest, costliest, parts } = await timed(step)
    total.passed += passed
    total.failed += failed
    for (const part of parts) {
      summary.push(`${part.failed === 0 ? 'ok    ' : 'FAILED'}  ${part.title} (${part.seconds} s)`)
    }
    summary.push(`        ${(cpuSeconds() - cpuBefore).toFixed(1)} s of CPU`)
    if (slowest)
      process.stdout.write(
        `\nslowest files\n${slowest.files.join('\n')}\n\nslowest tests\n${slowest.tests.join('\n')}\n`,
      )
    if (costliest) process.stdout.write(`\nfiles with most CPU time\n${costliest.join('\n')}\n`)
    // Said again at the end: in a long log the failure itself is far above.
    for (const failure of failures) summary.push(`        ${failure}`)
    for (const name of skipped) summary.push(`        skipped: ${name}`)
  }
  process.exitCode = total.failed === 0 ? 0 : 1
  const minutes = ((performance.now() - beganAt) / 60_000).toFixed(1)
  process.stdout.write(
    `\n${summary.join('\n')}\n\nall in ${minutes} min\n${total.passed} passed, ${total.failed} failed\n`,
  )
}
