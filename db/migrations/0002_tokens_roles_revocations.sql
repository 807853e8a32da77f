-- Passwords move over from other systems in the strings that those wrote, and become argon2id at the next sign-in.
alter table account drop constraint account_password_hash_check;
alter table account add constraint account_password_hash_check check (password_hash like '%$%');

-- What an account may do beyond its roles, and its name in the system that it came from (django:42).
alter table account add column permissions text[] not null default '{}' check (array_position(permissions, null) is null);
alter table account add column external_id text unique check (length(external_id) between 3 and 300);
create index account_roles_idx on account using gin (roles) where roles <> '{}';

-- What a role means: an account has the permissions of all its roles, and its own.
create table role (
  name text primary key check (name ~ '^[a-z][a-z0-9_.:-]{0,63}$'),
  description text not null default '' check (length(description) <= 200),
  permissions text[] not null default '{}' check (array_position(permissions, null) is null),
  created_at timestamptz not null
);
insert into role (name, created_at)
select name, now()
from (
  select 'admin' as name
  union select unnest(roles) from account
  union select unnest(roles) from invitation
) as used
where name ~ '^[a-z][a-z0-9_.:-]{0,63}$';

-- Opaque, long-lived keys. Only a digest is kept. An authtoken is the one key of an account that Django clients ask for
-- again and again; beside it may be the one that came from Django.
create table api_token (
  id uuid primary key,
  digest bytea not null unique check (length(digest) = 32),
  account_id uuid not null references account on delete cascade,
  kind text not null check (kind in ('personal', 'authtoken', 'knox')),
  name text not null check (length(name) between 1 and 100),
  -- The key's last four characters, so that its owner can tell it from others.
  hint text not null check (length(hint) = 4),
  scopes text[] not null default '{}' check (array_position(scopes, null) is null),
  created_at timestamptz not null,
  expires_at timestamptz check (expires_at > created_at),
  last_used_at timestamptz
) with (fillfactor = 85);
create index api_token_account_id_idx on api_token (account_id);
create unique index api_token_authtoken_idx on api_token (account_id, name) where kind = 'authtoken';
create index api_token_expires_at_idx on api_token (expires_at) where expires_at is not null;

-- What is over before it expires by itself, in the order of commits: an access token carries the last id that was there
-- when it was issued, so an entry ends exactly those that were issued before it, whatever anybody's clock says.
create table revocation (
  id bigint generated always as identity primary key,
  kind text not null check (kind in ('session', 'account', 'role', 'api_token')),
  subject text not null check (length(subject) between 1 and 64),
  because text not null,
  created_at timestamptz not null,
  -- When the last thing that it ends has expired by itself.
  expires_at timestamptz not null check (expires_at > created_at)
);
create index revocation_expires_at_idx on revocation (expires_at);

-- One writer at a time, until its commit: ids become visible in their order, so that no reader's cursor passes one.
create function revocation_in_order() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtext('keyturn:revocation'));
  return null;
end $$;
create trigger revocation_in_order before insert on revocation
for each statement execute function revocation_in_order();

create function revocation_notify() returns trigger language plpgsql as $$
begin
  if exists (select from added) then
    perform pg_notify('keyturn_revocation', '');
  end if;
  return null;
end $$;
create trigger revocation_notify after insert on revocation
referencing new table as added
for each statement execute function revocation_notify();
