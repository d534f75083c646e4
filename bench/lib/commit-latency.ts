import { randomUUID } from 'node:crypto'
import type { Client } from 'pg'
import { LatencyHistogram, type LatencySummary } from './histogram.ts'
import { withClient } from './postgres.ts'
import { createRows, insertRow } from './rows.ts'

/** How long one prepared one-row INSERT takes to commit, one after the other, seen from Node: the floor of an ack. */
export async function commitLatency(
  postgresDsn: string,
  { warmupMs, measureMs }: { readonly warmupMs: number; readonly measureMs: number },
): Promise<LatencySummary> {
  return withClient(postgresDsn, async (client) => {
    await client.query('drop table if exists bench_rows')
    await client.query(createRows)
    return measure(client, warmupMs, measureMs)
  })
}

async function measure(client: Client, warmupMs: number, measureMs: number): Promise<LatencySummary> {
  const histogram = new LatencyHistogram()
  const content = 'x'.repeat(100)
  const beginMs = performance.now() + warmupMs
  for (let seq = 1; ; seq++) {
    const startMs = performance.now()
    if (startMs >= beginMs + measureMs) return histogram.summary()
    const values = [1, seq, randomUUID(), 'a', content, new Date().toISOString()]
    await client.query({ name: 'bench-commit', text: insertRow, values })
    if (startMs >= beginMs) histogram.record(performance.now() - startMs)
  }
}
