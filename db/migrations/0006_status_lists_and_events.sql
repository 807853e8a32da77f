-- How others learn of revocations without asking: places in status lists, and events that are pushed.

-- A session's place in the status lists follows from this number by a keyed permutation, so places are kept nowhere.
-- Null where the session began while AUTH_STATUS_LIST was off.
create sequence session_status_index minvalue 0;
-- Rights on tables are granted by default to the role that runs the service, those on sequences are not.
grant usage on sequence session_status_index to public;
alter table session add column status_index bigint;
create unique index session_status_index_idx on session (status_index) where status_index is not null;

-- The places that say "invalid", until no access token can name them any more.
create table status_entry (
  status_index bigint primary key,
  expires_at timestamptz not null
);
create index status_entry_expires_at_idx on status_entry (expires_at);

-- By triggers, so that no way to end a session can forget them. None fires on a rotation, which leaves ended_at alone.
create function session_status_ended() returns trigger language plpgsql as $$
begin
  insert into status_entry (status_index, expires_at)
  -- Twice the longest life that an access token can be given.
  values (new.status_index, new.ended_at + interval '2 hours')
  on conflict do nothing;
  return null;
end $$;
create trigger session_status_ended after update of ended_at on session
for each row when (old.ended_at is null and new.ended_at is not null and new.status_index is not null)
execute function session_status_ended();

create function session_status_deleted() returns trigger language plpgsql as $$
begin
  insert into status_entry (status_index, expires_at)
  values (old.status_index, old.expires_at)
  on conflict do nothing;
  return null;
end $$;
create trigger session_status_deleted after delete on session
for each row when (old.ended_at is null and old.status_index is not null)
execute function session_status_deleted();

-- Who is told of ended sessions by a POST (RFC 8935).
create table event_receiver (
  id uuid primary key,
  url text not null unique check (length(url) between 8 and 2000),
  audience text not null check (length(audience) between 1 and 255),
  -- The Authorization header, sealed under the master key.
  sealed_authorization bytea,
  note text not null default '' check (length(note) <= 200),
  created_at timestamptz not null,
  disabled_at timestamptz
);

-- What each receiver is yet to be told; gone once it was. The id is the event's jti, so what is sent again is the same event.
create table event_outbox (
  id uuid primary key default gen_random_uuid(),
  receiver_id uuid not null references event_receiver on delete cascade,
  revocation_id bigint not null,
  account text not null,
  -- Null where all sessions of the account ended.
  session text,
  because text not null,
  happened_at timestamptz not null,
  -- When to try next. Whoever takes a row moves this ahead: should that replica die, another one tries then.
  due_at timestamptz not null,
  attempts int not null default 0,
  failed_at timestamptz,
  error text check (length(error) <= 200),
  unique (receiver_id, revocation_id),
  check ((failed_at is null) = (error is null))
);
create index event_outbox_due_at_idx on event_outbox (receiver_id, due_at) where failed_at is null;
create index event_outbox_failed_at_idx on event_outbox (failed_at) where failed_at is not null;

-- In the transaction of the revocation itself, so that neither is there without the other. Entries that change what an
-- account may do, and those of single tokens, roles and keys, end no session.
create function revocation_outbox() returns trigger language plpgsql as $$
begin
  if exists (select from event_receiver where disabled_at is null) then
    insert into event_outbox (receiver_id, revocation_id, account, session, because, happened_at, due_at)
    select r.id, a.id, a.account, a.session, a.because, a.created_at, a.created_at
    from (
      select added.id, s.account_id::text as account, added.subject as session, added.because, added.created_at
      from added
      join session as s
        on s.id = case when added.subject ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then added.subject::uuid end
      where added.kind = 'session'
      union all
      select added.id, added.subject, null, added.because, added.created_at
      from added
      where added.kind = 'account'
        and added.because in ('logout_all', 'ended_by_admin', 'password_changed', 'account_disabled', 'account_deleted')
    ) as a
    cross join event_receiver as r
    where r.disabled_at is null;
  end if;
  return null;
end $$;
create trigger revocation_outbox after insert on revocation
referencing new table as added
for each statement execute function revocation_outbox();
