-- How often somebody has done something, for all replicas together. A crash empties it, and every window begins anew.
create unlogged table rate_window (
  digest bytea not null primary key,
  hits bigint not null,
  ends_at timestamptz not null
) with (fillfactor = 70);
create index rate_window_ends_at_idx on rate_window (ends_at);
