/** Entry of a process of clients that offer too much: carries out the coordinator's commands in their order. */
import { Flood } from './flood.ts'
import type { FloodCommand, FloodEvent } from './flood-plan.ts'

const flood = new Flood()

function tell(event: FloodEvent): void {
  process.send?.(event)
}

process.on('message', ({ number, command }: { number: number; command: FloodCommand }) => {
  flood.obey(command).then(
    (result) => tell({ type: 'done', number, result }),
    (error: unknown) => tell({ type: 'failed', number, reason: String(error) }),
  )
})
process.on('disconnect', () => process.exit(0))
