import { Client } from 'pg'
import { LatencyHistogram, type LatencySummary } from './histogram.ts'

const createTable = `
  create table bench_commit (
    conversation_id bigint not null,
    seq bigint not null,
    id uuid not null,
    sender_id text collate "C" not null,
    content text not null,
    created_at timestamptz not null,
    primary key (conversation_id, seq),
    unique (conversation_id, id)
  )`

// $1 bigint seq, $2 text content
const insertRow = `
  insert into bench_commit (conversation_id, seq, id, sender_id, content, created_at)
  values (1, $1, gen_random_uuid(), 'a', $2, now())`

/** How long one prepared one-row INSERT takes to commit, one after the other, seen from Node: the floor of an ack. */
export async function commitLatency(
  postgresDsn: string,
  { warmupMs, measureMs }: { readonly warmupMs: number; readonly measureMs: number },
): Promise<LatencySummary> {
  const client = new Client({ connectionString: postgresDsn })
  await client.connect()
  try {
    await client.query('drop table if exists bench_commit')
    await client.query(createTable)
    return await measure(client, warmupMs, measureMs)
  } finally {
    await client.query('drop table if exists bench_commit')
    await client.end()
  }
}

async function measure(client: Client, warmupMs: number, measureMs: number): Promise<LatencySummary> {
  const histogram = new LatencyHistogram()
  const content = 'x'.repeat(100)
  const beginMs = performance.now() + warmupMs
  for (let seq = 1; ; seq++) {
    const startMs = performance.now()
    if (startMs >= beginMs + measureMs) return histogram.summary()
    await client.query({ name: 'bench-commit', text: insertRow, values: [seq, content] })
    if (startMs >= beginMs) histogram.record(performance.now() - startMs)
  }
}
