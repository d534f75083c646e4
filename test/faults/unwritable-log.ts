// Instances whose log is a full disk or a pipe that nobody reads: they start, serve and drain as if it were written.
import { closeSync, openSync } from 'node:fs'
import { fullPipe } from '../support/full-pipe.ts'
import { Stage } from './stage.ts'
import type { World } from './world.ts'

const OUTPUTS: readonly { readonly what: string; open(): number }[] = [
  { what: 'a full disk', open: () => openSync('/dev/full', 'w') },
  { what: 'a pipe that nobody reads', open: fullPipe },
]
/** Requests, each of which is a line of the log at debug. */
const LINES = 200

export async function unwritableLog(world: World, seed: number): Promise<string[]> {
  const stage = new Stage(world, seed)
  const instance = world.instance(0)
  const writer = await stage.device('writer', 0)
  await stage.device('reader', 1)
  for (const { what, open } of OUTPUTS) {
    await instance.drain()
    const output = open()
    instance.logsTo = output
    await instance.startAgain()
    stage.send(writer, 'reader', 100)
    const url = `http://127.0.0.1:${instance.directPort}/healthz`
    await Promise.all(Array.from({ length: LINES }, () => fetch(url).then((answer) => answer.text())))
    await stage.settled()
    const code = await instance.drain()
    if (code !== 0) stage.complain(`with ${what} the drain ended with ${code}`)
    closeSync(output)
  }
  instance.logsTo = undefined
  await instance.startAgain()
  return stage.verdict({ expectLive: false })
}
