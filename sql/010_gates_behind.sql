-- Conversations of a suspended or deleted person are closed some thousand at a time. While some are left, this is how far that has
-- come: `lower` while those go where the person is the lower of the two, then `higher`; up to which other person, in their order.
-- Null where the conversations are as the state of the account wants them.
alter table accounts add column gate_side text, add column gate_after text collate "C";
create index accounts_gate_behind on accounts (user_id) where gate_side is not null;
