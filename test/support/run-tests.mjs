// npm test: everything that must hold before a change is merged.
import {
  allTests,
  behind,
  benchSmoke,
  build,
  faultsSmoke,
  formatAndLint,
  inTurn,
  runSteps,
  together,
  typesOnOneCore,
} from './steps.mjs'

// Most of the time tests, plays and benches wait for servers. The checks meet no deadline, and get what is left.
await runSteps([
  build,
  together([allTests, inTurn([faultsSmoke, benchSmoke]), behind([typesOnOneCore, formatAndLint])]),
])
