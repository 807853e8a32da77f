-- What happened to whom: rows are added, never changed, and removed only once they are old.
create table audit_event (
  -- Version 7, so that it is ordered by time: reading, cursors and retention need no other index for it.
  id uuid primary key,
  event text not null check (length(event) between 1 and 64),
  outcome text not null check (outcome in ('success', 'failure')),
  happened_at timestamptz not null,
  -- Whom it concerns. No reference: what happened to an account is known after it is gone.
  account_id uuid,
  -- Who did it, where that was another account.
  actor_id uuid,
  session_id uuid,
  client_id text check (length(client_id) <= 128),
  source text not null check (source in ('request', 'command', 'service')),
  address inet,
  user_agent text check (length(user_agent) <= 256),
  amr text[] not null default '{}',
  reason text check (length(reason) <= 200),
  details jsonb not null default '{}' check (jsonb_typeof(details) = 'object'),
  -- Whether it is to be in the chain, and its place there and its link once it is.
  chained boolean not null default false,
  position bigint,
  link bytea check (length(link) = 32),
  check ((position is null) = (link is null)),
  check (position is null or chained)
);
create index audit_event_account_id_idx on audit_event (account_id, id) where account_id is not null;
create index audit_event_event_idx on audit_event (event, id);
create unique index audit_event_position_idx on audit_event (position) where position is not null;
create index audit_event_unlinked_idx on audit_event (id) where chained and position is null;

-- Refuses what would change the past, also a slip of an operator. A link is given once; what retention removes is older
-- than the moment that it names for its own transaction.
create function audit_event_append_only() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' then
    if old.chained and old.position is null and new.position is not null
      and to_jsonb(new) - 'position' - 'link' = to_jsonb(old) - 'position' - 'link' then
      return new;
    end if;
  elsif tg_op = 'DELETE' then
    if old.happened_at < nullif(current_setting('keyturn.audit_removes_before', true), '')::timestamptz then
      return old;
    end if;
  end if;
  raise exception 'audit_event is append-only: % refused', lower(tg_op) using
    errcode = 'restrict_violation',
    hint = 'AUTH_AUDIT_RETENTION says for how long its rows are kept.';
end $$;
create trigger audit_event_append_only before update or delete on audit_event
for each row execute function audit_event_append_only();
create trigger audit_event_no_truncate before truncate on audit_event
for each statement execute function audit_event_append_only();

-- Where the chain begins, since retention removed what was before, and where it ends. Authenticated with its key, so that
-- rows cannot be cut off at either end by whoever has the database alone.
create table audit_chain (
  one boolean primary key default true check (one),
  first_position bigint not null,
  first_link bytea not null check (length(first_link) = 32),
  last_position bigint not null check (last_position >= first_position),
  last_link bytea not null check (length(last_link) = 32),
  mac bytea not null check (length(mac) = 32)
);
