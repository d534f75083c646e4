// npm run check: what needs no server, in under 20 seconds, before each commit.
import { formatAndLint, runSteps, types, unitTests } from './steps.mjs'

await runSteps([formatAndLint, types, unitTests])
