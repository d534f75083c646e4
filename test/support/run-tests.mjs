// npm test: everything that must hold before a change is merged.
import {
  allTests,
  behind,
  benchSmoke,
  build,
  faultsSmoke,
  formatAndLint,
  runSteps,
  together,
  typesOnOneCore,
} from './steps.mjs'

// Tests and plays wait for servers most of the time, and leave a quarter of two cores to what meets no deadline.
await runSteps([build, together([allTests, faultsSmoke, behind([benchSmoke, typesOnOneCore, formatAndLint])])])
