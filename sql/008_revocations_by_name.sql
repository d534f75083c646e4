-- Whether a login or a user was revoked is also asked of each browser that is to be notified, one at a time.

create index revocations_user on revocations (user_id) where user_id is not null;
create index revocations_session on revocations (session_id) where session_id is not null;
