-- More that can end: one access token, whatever was issued before now, and all that a compromised key has signed.
alter table revocation drop constraint revocation_kind_check;
alter table revocation add constraint revocation_kind_check
  check (kind in ('session', 'account', 'role', 'token', 'api_token', 'all', 'key'));

alter table session drop constraint session_ended_because_check;
alter table session add constraint session_ended_because_check check (ended_because in
  ('logout', 'logout_all', 'ended_by_owner', 'ended_by_admin', 'password_changed', 'refresh_reused', 'account_disabled',
    'session_limit', 'revoked_by_client'));

-- Identifiers that count once: of DPoP proofs (RFC 9449 §11.1) and of client assertions (RFC 7523 §3). Kept until what
-- carried them has expired by itself.
create table used_identifier (
  digest bytea primary key check (length(digest) = 32),
  expires_at timestamptz not null
);
create index used_identifier_expires_at_idx on used_identifier (expires_at);
