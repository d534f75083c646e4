-- Web Push: who wants to be told, and what is to be told. No statement of the message path touches these tables.

-- What the service made for itself and shares between its instances. A restore brings them back with everything else.
create table secrets (
    name       text        not null,
    kid        text        not null,
    value      bytea       not null,
    created_at timestamptz not null default now(),
    retired_at timestamptz,
    primary key (name, kid)
);
-- Instances that start together make one.
create unique index secrets_in_use on secrets (name) where retired_at is null;

-- One row for each browser that a person allowed to show notifications. The last owner of an endpoint has it.
create table push_subscriptions (
    subscription_id   uuid primary key default gen_random_uuid(),
    user_id           text collate "C" not null,
    -- The login that it ends with; null: that of the user as a whole.
    session_id        text,
    endpoint          text        not null,
    endpoint_hash     bytea       not null unique,
    -- Of the endpoint, with its port where that is not 443.
    host              text        not null,
    p256dh            text        not null,
    auth              text        not null,
    -- The key of ours that it was made with.
    vapid_kid         text        not null,
    -- How much a notification may tell: 0 nothing, 1 who wrote, 2 the text.
    content           smallint    not null check (content between 0 and 2),
    locale            text,
    -- When the browser said that it ends; null: never.
    expires_at        timestamptz,
    created_at        timestamptz not null default now(),
    -- When the page last said that it is still so.
    confirmed_at      timestamptz not null default now(),
    -- When somebody who was silent for long was asked; null once they were seen again.
    asked_at          timestamptz,
    tested_at         timestamptz,
    last_success_at   timestamptz,
    -- Refusals in a row.
    failures          smallint    not null default 0,
    -- Notifications of one hour, and pushes of one day that only take notifications away.
    window_started_at timestamptz not null default now(),
    window_pushes     integer     not null default 0,
    clears_on         date,
    clears            smallint    not null default 0
) with (fillfactor = 70);
create index push_subscriptions_user on push_subscriptions (user_id);
create index push_subscriptions_session on push_subscriptions (session_id) where session_id is not null;
create index push_subscriptions_confirmed on push_subscriptions (confirmed_at);

-- One row for each person and conversation, so that messages collapse into one notification. It stays as what is on the
-- screen until it is read.
create table push_jobs (
    user_id         text collate "C" not null,
    conversation_id bigint      not null,
    -- 0 show, 1 take away.
    kind            smallint    not null,
    -- Void once everything is: 0 delivered, 1 read.
    until           smallint    not null,
    -- When somebody is to look at it again; null: nothing is to be done. Of a job that is being sent: when it is taken for lost.
    due_at          timestamptz,
    -- Since when there is something to tell.
    wanted_at       timestamptz not null,
    -- The newest message there is to tell, and the newest that was told.
    last_seq        bigint      not null,
    pushed_seq      bigint,
    pushed_at       timestamptz,
    -- Notifications since it was last read.
    pushes          smallint    not null default 0,
    -- Failures in a row.
    attempts        smallint    not null default 0,
    -- Who is sending it.
    lease_owner     uuid,
    -- Subscriptions that have this notification already, while others still wait for it.
    sent_to         uuid[],
    primary key (user_id, conversation_id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
create index push_jobs_due on push_jobs (due_at) where due_at is not null;
create index push_jobs_pushed on push_jobs (pushed_at);

-- Push services that are to be left alone for a while.
create table push_hosts (
    host       text primary key,
    not_before timestamptz not null
);

-- Who looks for what a killed instance forgot, and up to when that is done; one row.
create table push_sweep (
    singleton   boolean primary key default true check (singleton),
    lease_owner uuid,
    lease_until timestamptz,
    -- By the times of messages; null: never looked.
    swept_until timestamptz
);
insert into push_sweep default values;

-- The sweeper reads the last seconds of `messages` by this index. Blocks that are not summarized yet are read whole each
-- time, and a plain vacuum summarizes them only when a fifth of the table is new.
alter index messages_created_at set (autosummarize = on);
