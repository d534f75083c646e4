-- A subscription ends with its login, in the transaction that ends that, whoever does it: a logout, an administrator, another issuer's
-- backend, or the removal of a login that was not used for long. No table of the message path has a trigger.

create index push_subscriptions_expires on push_subscriptions (expires_at) where expires_at is not null;

-- Locked in the order in which the answers of push services are noted.
create function end_push_of_revoked() returns trigger language plpgsql as $$
begin
    delete from push_subscriptions where subscription_id in (
        select s.subscription_id from push_subscriptions s where s.subscription_id in (
            select o.subscription_id from added r join push_subscriptions o on o.session_id = r.session_id
            union all
            select o.subscription_id from added r join push_subscriptions o on o.user_id = r.user_id
                and o.confirmed_at <= r.not_before and (o.session_id is null or r.reason is distinct from 'sessionless'))
        order by s.subscription_id for update);
    return null;
end $$;
create trigger push_of_revoked after insert on revocations
    referencing new table as added for each statement execute function end_push_of_revoked();

create function end_push_of_removed() returns trigger language plpgsql as $$
begin
    delete from push_subscriptions where subscription_id in (
        select s.subscription_id from push_subscriptions s where s.session_id in (select session_id::text from removed)
        order by s.subscription_id for update);
    return null;
end $$;
create trigger push_of_removed after delete on sessions
    referencing old table as removed for each statement execute function end_push_of_removed();
