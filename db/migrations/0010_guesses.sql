-- Wrong passwords in a row, by whom they were for: an account, one of its devices, or a name that nobody has.
create table password_guess (
  who text not null primary key,
  failures integer not null,
  retry_at timestamptz not null,
  failed_at timestamptz not null
) with (fillfactor = 80);
create index password_guess_failed_at_idx on password_guess (failed_at);
