// npm test: everything that must hold before a change is merged.
import { allTests, benchSmoke, build, faultsSmoke, formatAndLint, runSteps, together, types } from './steps.mjs'

await runSteps([together([formatAndLint, types, build]), allTests, together([faultsSmoke, benchSmoke])])
