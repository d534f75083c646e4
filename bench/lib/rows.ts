/** A table like `messages`, without the numbering: what the peers and the limits write into. */

export const createRows = `
  create table bench_rows (
    conversation_id bigint not null,
    seq bigint not null,
    id uuid not null,
    sender_id text collate "C" not null,
    content text not null,
    created_at timestamptz not null,
    primary key (conversation_id, seq),
    unique (conversation_id, id)
  )`

// $1 conversation_id, $2 seq, $3 id, $4 sender_id, $5 content, $6 created_at
export const insertRow = `
  insert into bench_rows (conversation_id, seq, id, sender_id, content, created_at) values ($1, $2, $3, $4, $5, $6)`

// The same, each an array.
export const insertRows = `
  insert into bench_rows (conversation_id, seq, id, sender_id, content, created_at)
  select * from unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[])`

export const copyRows = 'copy bench_rows (conversation_id, seq, id, sender_id, content, created_at) from stdin'

/** One row, as the limits write it. */
export interface BenchRow {
  readonly conversationId: number
  readonly seq: number
  readonly id: string
  readonly senderId: string
  readonly content: string
  readonly createdAt: string
}

export function rowValues({ conversationId, seq, id, senderId, content, createdAt }: BenchRow): (string | number)[] {
  return [conversationId, seq, id, senderId, content, createdAt]
}

/** COPY's text format; the contents of a bench hold nothing to escape. */
export function copyText(rows: readonly BenchRow[]): Buffer {
  return Buffer.from(rows.map((row) => `${rowValues(row).join('\t')}\n`).join(''))
}
