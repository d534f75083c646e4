-- A subscription is of the epoch in which it was declared. A restore brings back those of logins that have ended since, and gives an
-- endpoint back to its owner of before: none is told anything before its page has declared it again.

create function present_epoch() returns text language sql stable as 'select epoch from service_state';

-- What is there counts as declared now. Instances of the release before name no epoch.
alter table push_subscriptions add column epoch text not null default present_epoch();
