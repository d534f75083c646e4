// What a fresh device sees: everything, over REST, from the beginning.
import { type Event, monotonicMs, operationOf, type Row } from './history.ts'

interface Page {
  readonly messages: readonly {
    readonly id: string
    readonly seq: number
    readonly sender_id: string
    readonly content: string
  }[]
  readonly has_more: boolean
}

const ATTEMPTS = 20
const ATTEMPT_GAP_MS = 250

/** Answers of GET; tried again while the service is not ready. */
async function get(port: number, path: string): Promise<unknown> {
  let failure = ''
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    try {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(15_000) })
      if (answer.ok) return await answer.json()
      failure = String(answer.status)
    } catch (error) {
      failure = String(error)
    }
    await new Promise((resolve) => setTimeout(resolve, ATTEMPT_GAP_MS))
  }
  throw new Error(`GET ${path}: ${failure}`)
}

export async function readConversation(port: number, user: string, other: string): Promise<Event> {
  const rows: Row[] = []
  for (let more = true; more; ) {
    const after = rows.at(-1)?.[0] ?? 0
    const path = `/api/messages?user_id=${user}&with=${other}&after=${after}&limit=500`
    const page = (await get(port, path)) as Page
    for (const { seq, id, sender_id, content } of page.messages) rows.push([seq, id, sender_id, operationOf(content)])
    more = page.has_more
  }
  return { e: 'read', u: user, w: other, rows }
}

/** How far this person is in each conversation. */
export async function readPositions(port: number, user: string): Promise<Event[]> {
  const events: Event[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const began = monotonicMs()
    const page = (await get(port, `/api/conversations?user_id=${user}&limit=100${cursor && `&cursor=${cursor}`}`)) as {
      conversations: { with: string; delivered_seq: number }[]
      next_cursor: string | null
    }
    for (const one of page.conversations)
      events.push({ e: 'position', u: user, w: one.with, began, seq: one.delivered_seq })
    cursor = page.next_cursor
  }
  return events
}

export async function onlineUsers(port: number): Promise<readonly string[] | undefined> {
  const answer = await fetch(`http://127.0.0.1:${port}/api/online_users?limit=500`, {
    signal: AbortSignal.timeout(15_000),
  })
  return answer.ok ? ((await answer.json()) as { online_users: string[] }).online_users : undefined
}
