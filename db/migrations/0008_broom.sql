-- What the broom looks for. Neither is on a column that a rotation changes, so a rotation stays within its page.
create index session_ended_at_idx on session (ended_at) where ended_at is not null;
create index invitation_used_at_idx on invitation (used_at) where used_at is not null;
