-- The built-in accounts (AUTH=accounts): who may sign in, how, from where, and what administrators did.
-- Of the message path one statement alone reads them: the one that begins a conversation.

-- One row for each person who can sign in, or could: an id is never given twice. How they are shown stands in `users`.
create table accounts (
    user_id       text collate "C" primary key,
    -- As typed, and as compared: without case. Null once the account is deleted, so that the name is free again.
    username      text collate "C",
    username_key  text collate "C" unique,
    -- 0 member, 2 admin; 1 is kept for moderators.
    role          smallint    not null default 0 check (role between 0 and 2),
    -- 0 active, 1 suspended, 2 deleted.
    state         smallint    not null default 0 check (state between 0 and 2),
    -- Whether a search may find this person.
    discoverable  boolean     not null default true,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    last_login_at timestamptz,
    check (num_nonnulls(username, username_key) = case when state = 2 then 0 else 2 end)
);
-- To say quickly whether there is an administrator, and whether it is the last.
create index accounts_admins on accounts (user_id) where role = 2 and state = 0;

-- Apart from the account, so that no list of people reads it. A PHC string of Argon2id.
create table passwords (
    user_id    text collate "C" primary key references accounts on delete cascade,
    phc        text        not null,
    changed_at timestamptz not null default now()
);

-- SHA-256 of 80 random bits each; a person has those that were made last.
create table recovery_codes (
    user_id    text collate "C" not null references accounts on delete cascade,
    code_hash  bytea       not null,
    created_at timestamptz not null default now(),
    used_at    timestamptz,
    primary key (user_id, code_hash)
);

-- One row for each login. A page has a cookie that stays the same; a program has refresh tokens, of which no row is kept:
-- their counter and a key for their signature are all that is needed.
create table sessions (
    session_id      uuid primary key default gen_random_uuid(),
    user_id         text collate "C" not null references accounts on delete cascade,
    kind            text        not null check (kind in ('cookie', 'refresh')),
    -- SHA-256 of what the cookie holds.
    secret_hash     bytea unique,
    -- Signs the refresh tokens of this session.
    mac_key         bytea,
    -- The refresh token that is good next.
    refresh_counter integer     not null default 0,
    -- By which attempt the last one was used, and when.
    last_attempt    uuid,
    rotated_at      timestamptz,
    device_name     text,
    user_agent      text,
    address         text,
    created_at      timestamptz not null default now(),
    last_used_at    timestamptz not null default now(),
    expires_at      timestamptz not null,
    revoked_at      timestamptz,
    revoked_because text,
    check (num_nonnulls(secret_hash, mac_key) = 1)
);
create index sessions_live on sessions (user_id) where revoked_at is null;
create index sessions_expires on sessions (expires_at);

-- Browsers and programs that a person signed in from before: their attempts are counted apart from those of strangers.
create table devices (
    device_hash  bytea       not null,
    user_id      text collate "C" not null references accounts on delete cascade,
    created_at   timestamptz not null default now(),
    last_used_at timestamptz not null default now(),
    primary key (device_hash, user_id)
);
create index devices_last_used on devices (last_used_at);

-- How many attempts are left, by the hash of what is counted. A crash of the database may forgive them.
create unlogged table throttles (
    throttle_key bytea primary key,
    tokens       double precision not null,
    at           timestamptz      not null
);
create index throttles_at on throttles (at);

-- The first failed login of an account, network and quarter of an hour makes a row of the audit; the rest are counted here.
create unlogged table login_failures (
    username_key text collate "C" not null,
    network      text        not null,
    quarter      timestamptz not null,
    failures     integer     not null default 1,
    primary key (username_key, network, quarter)
);
create index login_failures_quarter on login_failures (quarter);

-- What may be used a number of times to register. Void once `epoch` is no longer the one of service_state: a restore would
-- bring used ones back.
create table invites (
    -- Names it in lists; the code itself is shown once, when it is made.
    code_id    text collate "C" primary key,
    code_hash  bytea       not null unique,
    epoch      text        not null,
    role       smallint    not null default 0 check (role between 0 and 2),
    uses       integer     not null check (uses > 0),
    uses_left  integer     not null check (uses_left between 0 and uses),
    created_by text        not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz
);

-- Links that work once: one makes the first administrator, one sets a new password. Void with their epoch, as invites are.
create table one_time_links (
    link_hash  bytea primary key,
    purpose    text        not null check (purpose in ('bootstrap', 'reset')),
    -- Whose password; null for the first administrator, who is nobody yet.
    user_id    text collate "C" references accounts on delete cascade,
    epoch      text        not null,
    created_by text        not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at    timestamptz,
    check ((purpose = 'reset') = (user_id is not null))
);
create index one_time_links_user on one_time_links (user_id);
create index one_time_links_expires on one_time_links (expires_at);

-- Signs the tokens of the built-in issuer: one key for each epoch, so that a restore refuses every token from before it.
create table signing_keys (
    key_id     text collate "C" primary key,
    epoch      text        not null unique,
    secret     bytea       not null,
    created_at timestamptz not null default now()
);

-- What was done by whom; rows are only ever added. Each holds the hash of the one before, so that a change shows.
create table audit_log (
    audit_id   bigint primary key,
    at         timestamptz not null,
    -- A user id, the id of a service key, or empty.
    actor      text        not null,
    actor_kind text        not null check (actor_kind in ('user', 'key', 'command_line', 'nobody', 'service')),
    action     text        not null,
    -- Whom or what it was done to: a user id, a session, a code id.
    target     text        not null,
    address    text        not null,
    request_id text        not null,
    details    jsonb       not null,
    prev_hash  bytea       not null,
    hash       bytea       not null
);
create index audit_log_at on audit_log (at);
create index audit_log_target on audit_log (target, audit_id);

-- The end of the chain; one row, locked last in a transaction that writes to it.
create table audit_head (
    singleton boolean primary key default true check (singleton),
    audit_id  bigint not null default 0,
    hash      bytea  not null default '\x'
);
insert into audit_head default values;

-- Pictures of people that were uploaded. The id is new with every picture, so that an address always shows the same one.
create table avatars (
    avatar_id  uuid primary key,
    user_id    text collate "C" not null unique references users on delete cascade,
    media_type text        not null,
    bytes      bytea       not null,
    created_at timestamptz not null default now()
);
alter table users add column avatar_id uuid;

-- `suspended` where more is at an end than one login: sockets then close with another code. Null otherwise.
alter table revocations add column reason text;
