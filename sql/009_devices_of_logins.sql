-- From which device a login came: with another password that one alone stays known. Null for logins from before.
alter table sessions add column device_hash bytea;
-- A person has fifty, and with another password all but one go.
create index devices_user on devices (user_id, last_used_at);
