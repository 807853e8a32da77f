-- Who can authenticate. Names and addresses are unique by their key, which the service computes: what two spellings
-- have in common depends on Unicode, not on the database's locale.
create table account (
  id uuid primary key,
  username text not null check (length(username) between 1 and 150),
  username_key text not null unique,
  email text check (length(email) between 3 and 254),
  email_key text unique,
  email_verified_at timestamptz,
  -- A PHC string; null where the account cannot sign in with a password.
  password_hash text check (password_hash like '$%'),
  password_changed_at timestamptz,
  roles text[] not null default '{}' check (array_position(roles, null) is null),
  disabled_at timestamptz,
  created_at timestamptz not null,
  last_login_at timestamptz,
  check ((email is null) = (email_key is null)),
  check (email is not null or email_verified_at is null),
  check ((password_hash is null) = (password_changed_at is null))
) with (fillfactor = 85);
create index account_username_key_prefix_idx on account (username_key text_pattern_ops);
create index account_email_key_prefix_idx on account (email_key text_pattern_ops);
create index account_admin_idx on account (id) where 'admin' = any (roles);

-- One row per sign-in. Rotation counts up the generation in place: no row per rotation, and no index on what changes,
-- so that the row is updated within its page (HOT).
create table session (
  id uuid primary key,
  account_id uuid not null references account on delete cascade,
  generation bigint not null default 0 check (generation between 0 and 4294967295),
  transport text not null check (transport in ('body', 'cookie')),
  client_id text not null,
  scope text not null default '',
  amr text[] not null,
  acr text not null,
  user_agent text check (length(user_agent) <= 256),
  address inet,
  created_at timestamptz not null,
  rotated_at timestamptz not null,
  idle_expires_at timestamptz not null,
  expires_at timestamptz not null,
  ended_at timestamptz,
  ended_because text check (ended_because in
    ('logout', 'logout_all', 'ended_by_owner', 'ended_by_admin', 'password_changed', 'refresh_reused', 'account_disabled')),
  check (rotated_at >= created_at),
  check (expires_at > created_at),
  check (idle_expires_at <= expires_at),
  check ((ended_at is null) = (ended_because is null))
) with (fillfactor = 75);
create index session_account_id_idx on session (account_id);
create index session_expires_at_idx on session (expires_at);

-- Keys that sign access tokens. Their state follows from the timestamps; the private half is sealed under the master key.
create table signing_key (
  kid text primary key check (length(kid) = 43),
  algorithm text not null check (algorithm in ('ES256', 'Ed25519', 'RS256', 'PS256')),
  public_jwk jsonb not null check (not (public_jwk ?| array['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'])),
  sealed_private_key bytea not null,
  created_at timestamptz not null,
  signs_from timestamptz not null,
  gone_at timestamptz,
  check (signs_from >= created_at),
  check (gone_at > signs_from)
);

-- A link that lets one person register, once. Only the digest of its token is kept.
create table invitation (
  digest bytea primary key check (length(digest) = 32),
  roles text[] not null default '{}',
  -- Made at a start without an administrator: works only while there is still none.
  is_setup boolean not null default false,
  created_by uuid references account on delete set null,
  created_at timestamptz not null,
  expires_at timestamptz not null check (expires_at > created_at),
  used_at timestamptz,
  used_by uuid references account on delete set null,
  check (used_by is null or used_at is not null)
);
create index invitation_expires_at_idx on invitation (expires_at);
