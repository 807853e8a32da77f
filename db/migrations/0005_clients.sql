-- Services that authenticate themselves (RFC 6749 §2): each is an account without a password, so that roles, permissions
-- and revocations mean the same for it. It proves itself by a secret, of which a digest is kept, or by its own keys, of
-- which the public halves are; never by both, so that the weaker one cannot stand in for the other.
create table client (
  id text primary key check (id ~ '^ktc_[0-9A-Za-z]{22}$'),
  account_id uuid not null unique references account on delete cascade,
  name text not null check (length(name) between 1 and 100),
  secret_digest bytea check (length(secret_digest) = 32),
  jwks jsonb check (
    jsonb_typeof(jwks -> 'keys') = 'array'
    and jsonb_array_length(jwks -> 'keys') between 1 and 10
    and not jsonb_path_exists(jwks, '$.** ? (exists (@.d) || exists (@.p) || exists (@.q) || exists (@.k) || exists (@.priv))')
  ),
  -- What it may ask for; empty for tokens that are not limited beyond its account.
  scopes text[] not null default '{}' check (array_position(scopes, null) is null),
  -- The services that its tokens are for, and about whose tokens it may ask; empty for all of this installation.
  audience text[] not null default '{}' check (array_position(audience, null) is null),
  created_at timestamptz not null,
  disabled_at timestamptz,
  last_used_at timestamptz,
  check ((secret_digest is null) <> (jwks is null))
) with (fillfactor = 85);
