-- A pair is found exactly from either side. By user_hi alone, which the planner took where its statistics knew nobody with
-- several conversations, a page of history of a support account looked at all of its conversations.
create index conversations_pair_from_hi on conversations (user_hi, user_lo);
drop index conversations_user_hi;
