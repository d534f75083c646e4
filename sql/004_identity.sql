-- Who people are, whom to believe, and whom no longer. No statement of the message path touches these tables.

-- People as an app's backend or they themselves describe them; whoever was never described has no row.
create table users (
    user_id      text collate "C" primary key,
    display_name text,
    avatar_url   text,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now()
);

-- The words by which a person is found: their id and each word of their name, in lower case. A prefix is a range of the key.
create table user_words (
    word    text collate "C" not null,
    user_id text collate "C" not null,
    primary key (word, user_id)
);
create index on user_words (user_id);

-- Each row refuses tokens; each instance reads the new ones each second. Rows are never changed, only removed when expired.
create table revocations (
    revocation_id bigint generated always as identity primary key,
    -- The time of the statement, not of the transaction: readers look back over the longest that a transaction may take.
    at            timestamptz not null default clock_timestamp(),
    user_id       text collate "C",
    session_id    text,
    jti           text,
    key_id        text,
    -- Of a user: tokens issued in this second or before are refused.
    not_before    timestamptz not null default clock_timestamp(),
    -- When the longest token that it refuses has ended; null for a key, which does not end.
    expires_at    timestamptz,
    -- Which service key, admin or command line.
    actor         text        not null,
    check (num_nonnulls(user_id, session_id, jti, key_id) = 1)
);
create index on revocations (at);
create index on revocations (expires_at);

-- Keys of an app's backend. The secret itself is shown once, when it is made.
create table service_keys (
    key_id       text collate "C" primary key,
    secret_hash  bytea       not null,
    name         text        not null,
    scopes       text[]      not null,
    created_at   timestamptz not null default now(),
    last_used_at timestamptz,
    expires_at   timestamptz,
    revoked_at   timestamptz
);

-- Each opens one socket within half a minute. A crash of the database may forget them: whoever holds one asks for another.
create unlogged table tickets (
    ticket_hash bytea primary key,
    identity    jsonb       not null,
    expires_at  timestamptz not null
);
create index on tickets (expires_at);
