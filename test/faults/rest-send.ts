import { contentOf, type History } from './history.ts'
import { isDefinite } from './outbox.ts'

const ANSWER_LIMIT_MS = 10_000

/** One attempt over REST, with its outcome in the history; it does not throw. */
export async function sendByRest(
  history: History,
  port: number,
  [from, to]: readonly [string, string],
  id: string,
  limitMs = ANSWER_LIMIT_MS,
): Promise<void> {
  history.add({ e: 'invoke', id, from, to, c: `rest ${id} ${port}` })
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/api/send_message`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ sender_id: from, receiver_id: to, content: contentOf(id), id }),
      signal: AbortSignal.timeout(limitMs),
    })
    const stored = (await answer.json()) as { seq?: number }
    if (answer.ok && stored.seq !== undefined) history.add({ e: 'ok', id, seq: stored.seq })
    else if (isDefinite(answer.status)) history.add({ e: 'fail', id, code: String(answer.status) })
    else history.add({ e: 'info', id })
  } catch {
    history.add({ e: 'info', id }) // refused, reset, cut or too late: the outcome is not known
  }
}
