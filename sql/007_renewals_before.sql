-- When refresh tokens of a login were used before `rotated_at`, the latest first, a few of them: each may be presented once more by
-- a second process of its client, within seconds of its own use.
alter table sessions add column rotated_before timestamptz[] not null default '{}';
