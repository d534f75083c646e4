-- The two hot tables: one row per pair of people, one row per message.
-- Neither has a foreign key or a trigger: each would cost a lookup or a call per message.
-- Both are keyed by conversation_id, so both can be hash-partitioned by it.

create table conversations (
    conversation_id  bigint generated always as identity primary key,
    -- The pair in byte order, the order in which every writer takes row locks.
    user_lo          text collate "C" not null,
    user_hi          text collate "C" not null,
    -- Head of the dense numbering 1, 2, 3 ...: equals count(*) of the conversation's messages.
    last_seq         bigint not null default 0,
    last_message_at  timestamptz,
    -- Last change of any column, for clients that ask what changed since a time.
    updated_at       timestamptz not null,
    -- Cumulative positions of each person; never above last_seq, never decreasing.
    lo_delivered_seq bigint not null default 0,
    hi_delivered_seq bigint not null default 0,
    lo_read_seq      bigint not null default 0,
    hi_read_seq      bigint not null default 0,
    check (user_lo <= user_hi)
) with (
    -- Room for the next version of a row on its own page: counter updates stay heap-only.
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.05
);

create unique index conversations_pair on conversations (user_lo, user_hi);
create index conversations_user_hi on conversations (user_hi);

create table messages (
    conversation_id bigint not null,
    seq             bigint not null,
    -- Names the message in its conversation for ever: what makes a resend harmless.
    id              uuid not null,
    sender_id       text collate "C" not null,
    content         text not null,
    created_at      timestamptz not null,
    primary key (conversation_id, seq),
    unique (conversation_id, id)
);

-- Healing scans read the last seconds of everything; a block range index costs next to nothing to keep.
create index messages_created_at on messages using brin (created_at) with (pages_per_range = 32);
