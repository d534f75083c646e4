// npm test: everything that must hold before a change is merged.
import { allTests, benchSmoke, build, faultsSmoke, formatAndLint, runSteps, types } from './steps.mjs'

await runSteps([formatAndLint, types, build, allTests, faultsSmoke, benchSmoke])
