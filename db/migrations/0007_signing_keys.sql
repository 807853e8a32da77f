-- A key may be taken out before its time, and before its turn: it was compromised, or replaced. One that was revoked is
-- gone whatever anybody's clock says, and stays in the table, so that nobody brings it back.
alter table signing_key add column revoked_because text check (length(revoked_because) between 1 and 200);
alter table signing_key drop constraint signing_key_check1;
alter table signing_key add constraint signing_key_gone_at_check check (gone_at >= created_at);
alter table signing_key add constraint signing_key_revoked_check check (revoked_because is null or gone_at is not null);

-- A private half is sealed here, or it is kept by a key provider, which knows it by a reference.
alter table signing_key add column provider text not null default 'local' check (provider ~ '^[a-z][a-z0-9_-]{0,31}$');
alter table signing_key add column provider_reference text check (length(provider_reference) between 1 and 1000);
alter table signing_key alter column sealed_private_key drop not null;
alter table signing_key add constraint signing_key_private_half_check check (
  (provider = 'local') = (sealed_private_key is not null)
  and (provider = 'local') = (provider_reference is null)
);

create function signing_key_notify() returns trigger language plpgsql as $$
begin
  perform pg_notify('keyturn_signing_key', '');
  return null;
end $$;
create trigger signing_key_notify after insert or update or delete on signing_key
for each statement execute function signing_key_notify();

-- What has to stay the same when the master key does not: sealed under it.
create table service_secret (
  name text primary key check (name ~ '^[a-z][a-z0-9_]{0,63}$'),
  sealed_value bytea not null
);
