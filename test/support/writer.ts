import type { QueuedSend } from '../../src/messages/send-queue.ts'
import type { PositionChange } from '../../src/messages/store.ts'
import { MessageWriter, type WriterLimits } from '../../src/messages/writer.ts'
import { queuedSend, type SendOptions } from './builders.ts'
import { FakeClock } from './fake-clock.ts'
import { ScriptedStore } from './scripted-store.ts'
import { silentLogger } from './silent-logger.ts'

const LIMITS: WriterLimits = { maxQueueRows: 100, maxQueueBytes: 1e9, maxQueueAgeMs: 2000, maxBatchRows: 100 }

const NOBODY_REFUSED_EARLY = (): number => 1

/** A writer over a scripted store and a fake clock, and what it told its listener. */
export function writerBench(
  limits: Partial<WriterLimits> = {},
  onSettled: () => void = () => undefined,
  random = NOBODY_REFUSED_EARLY,
) {
  const clock = new FakeClock()
  const store = new ScriptedStore(() => clock.now())
  const settledSends: QueuedSend[] = []
  const settledPositions: PositionChange[] = []
  const failures: string[] = []
  const writer = new MessageWriter({
    log: store,
    clock,
    logger: silentLogger,
    limits: { ...LIMITS, ...limits },
    observer: { committed: () => undefined, failed: (failure) => failures.push(failure) },
    outcomes: {
      settled: (sends, positions) => {
        settledSends.push(...sends)
        settledPositions.push(...positions)
        onSettled()
      },
    },
    random,
  })
  /** Appends one send with this text. */
  const append = (content: string, options: SendOptions = {}) => {
    const send = queuedSend({ ...options, content, queuedAtMs: clock.now() })
    return { send, refusal: writer.append(send) }
  }
  /** Text and outcome of every send that settled, in order. */
  const outcomes = () => settledSends.map(({ content, refusal, fate }) => `${content} ${refusal ?? fate}`)
  return { clock, store, writer, append, outcomes, settledSends, settledPositions, failures }
}
