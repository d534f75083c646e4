/** Entry of a generator process: takes commands from the coordinator, sends back what it counted. */
import { LoadGenerator } from './generator.ts'
import type { GeneratorCommand, GeneratorEvent } from './load-plan.ts'

let generator: LoadGenerator | undefined

function tell(event: GeneratorEvent): void {
  process.send?.(event)
}

/** Resolves when it is on its way: what is still in the channel when that closes may be lost. */
function delivered(event: GeneratorEvent): Promise<void> {
  return new Promise((resolve) => process.send?.(event, () => resolve()))
}

async function obey(command: GeneratorCommand): Promise<void> {
  switch (command.type) {
    case 'connect':
      generator = new LoadGenerator(command.plan)
      await generator.connect()
      return tell({ type: 'connected' })
    case 'open':
      await generator?.open()
      return tell({ type: 'opened' })
    case 'start':
      return generator?.start()
    case 'begin':
      return generator?.begin()
    case 'end':
      return generator?.end()
    case 'finish':
      if (generator !== undefined) await delivered({ type: 'finished', result: await generator.finish() })
      return process.disconnect()
    default: {
      const never: never = command
      throw new Error(`unknown command ${JSON.stringify(never)}`)
    }
  }
}

process.on('message', (command: GeneratorCommand) => {
  obey(command).catch((error: unknown) => tell({ type: 'failed', reason: String(error) }))
})
