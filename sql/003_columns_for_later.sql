-- The columns that later features keep in the two hot tables, in one migration: a busy table is locked once. Constants as
-- defaults and nulls are catalogue entries, so no row is rewritten and the locks last a moment.
--
-- A correction to 001, whose text may not change: `messages` can be hash-partitioned by conversation_id. `conversations`
-- cannot, because its unique pair lacks that key.

-- Every statement may run twice: what follows the first mark runs outside of this transaction and may be cut off.
alter table conversations
    -- Whether the two may write to each other: 0 open, 1 lo blocked hi, 2 hi blocked lo, 4 and 8 a request of lo or hi waits, 16 closed.
    add column if not exists gate            smallint not null default 0,
    -- 0 a pair. Other kinds have members in a table of their own.
    add column if not exists kind            smallint not null default 0,
    -- Counts changes of the members, so that a send of somebody who was removed cannot commit after the removal.
    add column if not exists members_version integer  not null default 0,
    -- The oldest message that is kept.
    add column if not exists first_seq       bigint   not null default 1,
    -- Head of the dense numbering of changes (edits, deletions, reactions) to messages.
    add column if not exists last_change     bigint   not null default 0;

-- Eight columns: the bits that mark nulls still fit where every row has padding, so a message without these costs no byte more.
alter table messages
    add column if not exists meta   jsonb,
    -- The number of the last change to this message, null while it is as it was sent.
    add column if not exists change bigint;

-- What is true of the database as a whole; one row.
create table if not exists service_state (
    singleton         boolean primary key default true check (singleton),
    -- Names the line of history that all numbers belong to. Renewed when acknowledged messages may have been lost.
    epoch             text        not null default gen_random_uuid()::text,
    renewed_at        timestamptz not null default now(),
    -- Why, in words for an operator.
    renewed_because   text        not null default 'the database is new',
    -- Where the epoch was last seen; null until an instance has looked. A copy of the database brings these along, so another
    -- place shows by what differs: another server, a promoted standby, a dump restored into a database or tables made anew.
    system_identifier text,
    timeline          integer,
    database_oid      bigint,
    conversations_oid bigint
);
insert into service_state default values on conflict do nothing;

-- outside a transaction
drop index concurrently if exists messages_change;

-- outside a transaction
create index concurrently messages_change on messages (conversation_id, change) where change is not null;
