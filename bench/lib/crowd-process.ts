/** Entry of a crowd process: carries out the coordinator's commands in their order. */
import { Crowd } from './crowd.ts'
import type { CrowdCommand, CrowdEvent } from './crowd-plan.ts'

const crowd = new Crowd()

function tell(event: CrowdEvent): void {
  process.send?.(event)
}

process.on('message', ({ number, command }: { number: number; command: CrowdCommand }) => {
  crowd.obey(command).then(
    (result) => tell({ type: 'done', number, result }),
    (error: unknown) =>
      tell({ type: 'failed', number, reason: error instanceof Error ? error.message : String(error) }),
  )
})
process.on('disconnect', () => process.exit(0))
