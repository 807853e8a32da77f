-- What db/migrations make. Written by `npm run schema`; do not edit.

create sequence session_status_index minvalue 0;

create table account (
  id uuid not null,
  username text not null,
  username_key text not null,
  email text,
  email_key text,
  email_verified_at timestamp with time zone,
  password_hash text,
  password_changed_at timestamp with time zone,
  roles text[] default '{}'::text[] not null,
  disabled_at timestamp with time zone,
  created_at timestamp with time zone not null,
  last_login_at timestamp with time zone,
  permissions text[] default '{}'::text[] not null,
  external_id text
) with (fillfactor=85);
alter table account add constraint account_pkey PRIMARY KEY (id);
alter table account add constraint account_check CHECK (((email IS NULL) = (email_key IS NULL)));
alter table account add constraint account_check1 CHECK (((email IS NOT NULL) OR (email_verified_at IS NULL)));
alter table account add constraint account_check2 CHECK (((password_hash IS NULL) = (password_changed_at IS NULL)));
alter table account add constraint account_email_check CHECK (((length(email) >= 3) AND (length(email) <= 254)));
alter table account add constraint account_email_key_key UNIQUE (email_key);
alter table account add constraint account_external_id_check CHECK (((length(external_id) >= 3) AND (length(external_id) <= 300)));
alter table account add constraint account_external_id_key UNIQUE (external_id);
alter table account add constraint account_password_hash_check CHECK ((password_hash ~~ '%$%'::text));
alter table account add constraint account_permissions_check CHECK ((array_position(permissions, NULL::text) IS NULL));
alter table account add constraint account_roles_check CHECK ((array_position(roles, NULL::text) IS NULL));
alter table account add constraint account_username_check CHECK (((length(username) >= 1) AND (length(username) <= 150)));
alter table account add constraint account_username_key_key UNIQUE (username_key);
CREATE INDEX account_admin_idx ON public.account USING btree (id) WHERE ('admin'::text = ANY (roles));
CREATE INDEX account_email_key_prefix_idx ON public.account USING btree (email_key text_pattern_ops);
CREATE INDEX account_roles_idx ON public.account USING gin (roles) WHERE (roles <> '{}'::text[]);
CREATE INDEX account_username_key_prefix_idx ON public.account USING btree (username_key text_pattern_ops);

create table api_token (
  id uuid not null,
  digest bytea not null,
  account_id uuid not null,
  kind text not null,
  name text not null,
  hint text not null,
  scopes text[] default '{}'::text[] not null,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone,
  last_used_at timestamp with time zone
) with (fillfactor=85);
alter table api_token add constraint api_token_pkey PRIMARY KEY (id);
alter table api_token add constraint api_token_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id) ON DELETE CASCADE;
alter table api_token add constraint api_token_check CHECK ((expires_at > created_at));
alter table api_token add constraint api_token_digest_check CHECK ((length(digest) = 32));
alter table api_token add constraint api_token_digest_key UNIQUE (digest);
alter table api_token add constraint api_token_hint_check CHECK ((length(hint) = 4));
alter table api_token add constraint api_token_kind_check CHECK ((kind = ANY (ARRAY['personal'::text, 'authtoken'::text, 'knox'::text])));
alter table api_token add constraint api_token_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100)));
alter table api_token add constraint api_token_scopes_check CHECK ((array_position(scopes, NULL::text) IS NULL));
CREATE INDEX api_token_account_id_idx ON public.api_token USING btree (account_id);
CREATE UNIQUE INDEX api_token_authtoken_idx ON public.api_token USING btree (account_id, name) WHERE (kind = 'authtoken'::text);
CREATE INDEX api_token_expires_at_idx ON public.api_token USING btree (expires_at) WHERE (expires_at IS NOT NULL);

create table audit_chain (
  one boolean default true not null,
  first_position bigint not null,
  first_link bytea not null,
  last_position bigint not null,
  last_link bytea not null,
  mac bytea not null
);
alter table audit_chain add constraint audit_chain_pkey PRIMARY KEY (one);
alter table audit_chain add constraint audit_chain_check CHECK ((last_position >= first_position));
alter table audit_chain add constraint audit_chain_first_link_check CHECK ((length(first_link) = 32));
alter table audit_chain add constraint audit_chain_last_link_check CHECK ((length(last_link) = 32));
alter table audit_chain add constraint audit_chain_mac_check CHECK ((length(mac) = 32));
alter table audit_chain add constraint audit_chain_one_check CHECK (one);

create table audit_event (
  id uuid not null,
  event text not null,
  outcome text not null,
  happened_at timestamp with time zone not null,
  account_id uuid,
  actor_id uuid,
  session_id uuid,
  client_id text,
  source text not null,
  address inet,
  user_agent text,
  amr text[] default '{}'::text[] not null,
  reason text,
  details jsonb default '{}'::jsonb not null,
  chained boolean default false not null,
  "position" bigint,
  link bytea
);
alter table audit_event add constraint audit_event_pkey PRIMARY KEY (id);
alter table audit_event add constraint audit_event_check CHECK ((("position" IS NULL) = (link IS NULL)));
alter table audit_event add constraint audit_event_check1 CHECK ((("position" IS NULL) OR chained));
alter table audit_event add constraint audit_event_client_id_check CHECK ((length(client_id) <= 128));
alter table audit_event add constraint audit_event_details_check CHECK ((jsonb_typeof(details) = 'object'::text));
alter table audit_event add constraint audit_event_event_check CHECK (((length(event) >= 1) AND (length(event) <= 64)));
alter table audit_event add constraint audit_event_link_check CHECK ((length(link) = 32));
alter table audit_event add constraint audit_event_outcome_check CHECK ((outcome = ANY (ARRAY['success'::text, 'failure'::text])));
alter table audit_event add constraint audit_event_reason_check CHECK ((length(reason) <= 200));
alter table audit_event add constraint audit_event_source_check CHECK ((source = ANY (ARRAY['request'::text, 'command'::text, 'service'::text])));
alter table audit_event add constraint audit_event_user_agent_check CHECK ((length(user_agent) <= 256));
CREATE INDEX audit_event_account_id_idx ON public.audit_event USING btree (account_id, id) WHERE (account_id IS NOT NULL);
CREATE INDEX audit_event_event_idx ON public.audit_event USING btree (event, id);
CREATE UNIQUE INDEX audit_event_position_idx ON public.audit_event USING btree ("position") WHERE ("position" IS NOT NULL);
CREATE INDEX audit_event_unlinked_idx ON public.audit_event USING btree (id) WHERE (chained AND ("position" IS NULL));
CREATE OR REPLACE FUNCTION public.audit_event_append_only()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
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
end $function$
;
CREATE TRIGGER audit_event_no_truncate BEFORE TRUNCATE ON public.audit_event FOR EACH STATEMENT EXECUTE FUNCTION audit_event_append_only();
CREATE OR REPLACE FUNCTION public.audit_event_append_only()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
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
end $function$
;
CREATE TRIGGER audit_event_append_only BEFORE DELETE OR UPDATE ON public.audit_event FOR EACH ROW EXECUTE FUNCTION audit_event_append_only();

create table client (
  id text not null,
  account_id uuid not null,
  name text not null,
  secret_digest bytea,
  jwks jsonb,
  scopes text[] default '{}'::text[] not null,
  audience text[] default '{}'::text[] not null,
  created_at timestamp with time zone not null,
  disabled_at timestamp with time zone,
  last_used_at timestamp with time zone
) with (fillfactor=85);
alter table client add constraint client_pkey PRIMARY KEY (id);
alter table client add constraint client_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id) ON DELETE CASCADE;
alter table client add constraint client_account_id_key UNIQUE (account_id);
alter table client add constraint client_audience_check CHECK ((array_position(audience, NULL::text) IS NULL));
alter table client add constraint client_check CHECK (((secret_digest IS NULL) <> (jwks IS NULL)));
alter table client add constraint client_id_check CHECK ((id ~ '^ktc_[0-9A-Za-z]{22}$'::text));
alter table client add constraint client_jwks_check CHECK (((jsonb_typeof((jwks -> 'keys'::text)) = 'array'::text) AND ((jsonb_array_length((jwks -> 'keys'::text)) >= 1) AND (jsonb_array_length((jwks -> 'keys'::text)) <= 10)) AND (NOT jsonb_path_exists(jwks, '$.**?((((exists (@."d") || exists (@."p")) || exists (@."q")) || exists (@."k")) || exists (@."priv"))'::jsonpath))));
alter table client add constraint client_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100)));
alter table client add constraint client_scopes_check CHECK ((array_position(scopes, NULL::text) IS NULL));
alter table client add constraint client_secret_digest_check CHECK ((length(secret_digest) = 32));

create table event_outbox (
  id uuid default gen_random_uuid() not null,
  receiver_id uuid not null,
  revocation_id bigint not null,
  account text not null,
  session text,
  because text not null,
  happened_at timestamp with time zone not null,
  due_at timestamp with time zone not null,
  attempts integer default 0 not null,
  failed_at timestamp with time zone,
  error text
);
alter table event_outbox add constraint event_outbox_pkey PRIMARY KEY (id);
alter table event_outbox add constraint event_outbox_check CHECK (((failed_at IS NULL) = (error IS NULL)));
alter table event_outbox add constraint event_outbox_error_check CHECK ((length(error) <= 200));
alter table event_outbox add constraint event_outbox_receiver_id_fkey FOREIGN KEY (receiver_id) REFERENCES event_receiver(id) ON DELETE CASCADE;
alter table event_outbox add constraint event_outbox_receiver_id_revocation_id_key UNIQUE (receiver_id, revocation_id);
CREATE INDEX event_outbox_due_at_idx ON public.event_outbox USING btree (receiver_id, due_at) WHERE (failed_at IS NULL);
CREATE INDEX event_outbox_failed_at_idx ON public.event_outbox USING btree (failed_at) WHERE (failed_at IS NOT NULL);

create table event_receiver (
  id uuid not null,
  url text not null,
  audience text not null,
  sealed_authorization bytea,
  note text default ''::text not null,
  created_at timestamp with time zone not null,
  disabled_at timestamp with time zone
);
alter table event_receiver add constraint event_receiver_pkey PRIMARY KEY (id);
alter table event_receiver add constraint event_receiver_audience_check CHECK (((length(audience) >= 1) AND (length(audience) <= 255)));
alter table event_receiver add constraint event_receiver_note_check CHECK ((length(note) <= 200));
alter table event_receiver add constraint event_receiver_url_check CHECK (((length(url) >= 8) AND (length(url) <= 2000)));
alter table event_receiver add constraint event_receiver_url_key UNIQUE (url);

create table invitation (
  digest bytea not null,
  roles text[] default '{}'::text[] not null,
  is_setup boolean default false not null,
  created_by uuid,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  used_at timestamp with time zone,
  used_by uuid
);
alter table invitation add constraint invitation_pkey PRIMARY KEY (digest);
alter table invitation add constraint invitation_check CHECK ((expires_at > created_at));
alter table invitation add constraint invitation_check1 CHECK (((used_by IS NULL) OR (used_at IS NOT NULL)));
alter table invitation add constraint invitation_created_by_fkey FOREIGN KEY (created_by) REFERENCES account(id) ON DELETE SET NULL;
alter table invitation add constraint invitation_digest_check CHECK ((length(digest) = 32));
alter table invitation add constraint invitation_used_by_fkey FOREIGN KEY (used_by) REFERENCES account(id) ON DELETE SET NULL;
CREATE INDEX invitation_expires_at_idx ON public.invitation USING btree (expires_at);
CREATE INDEX invitation_used_at_idx ON public.invitation USING btree (used_at) WHERE (used_at IS NOT NULL);

create table password_guess (
  who text not null,
  failures integer not null,
  retry_at timestamp with time zone not null,
  failed_at timestamp with time zone not null
) with (fillfactor=80);
alter table password_guess add constraint password_guess_pkey PRIMARY KEY (who);
CREATE INDEX password_guess_failed_at_idx ON public.password_guess USING btree (failed_at);

create table rate_window (
  digest bytea not null,
  hits bigint not null,
  ends_at timestamp with time zone not null
) with (fillfactor=70);
alter table rate_window add constraint rate_window_pkey PRIMARY KEY (digest);
CREATE INDEX rate_window_ends_at_idx ON public.rate_window USING btree (ends_at);

create table revocation (
  id bigint not null generated always as identity,
  kind text not null,
  subject text not null,
  because text not null,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null
);
alter table revocation add constraint revocation_pkey PRIMARY KEY (id);
alter table revocation add constraint revocation_check CHECK ((expires_at > created_at));
alter table revocation add constraint revocation_kind_check CHECK ((kind = ANY (ARRAY['session'::text, 'account'::text, 'role'::text, 'token'::text, 'api_token'::text, 'all'::text, 'key'::text])));
alter table revocation add constraint revocation_subject_check CHECK (((length(subject) >= 1) AND (length(subject) <= 64)));
CREATE INDEX revocation_expires_at_idx ON public.revocation USING btree (expires_at);
CREATE OR REPLACE FUNCTION public.revocation_outbox()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
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
end $function$
;
CREATE TRIGGER revocation_outbox AFTER INSERT ON public.revocation REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION revocation_outbox();
CREATE OR REPLACE FUNCTION public.revocation_notify()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if exists (select from added) then
    perform pg_notify('keyturn_revocation', '');
  end if;
  return null;
end $function$
;
CREATE TRIGGER revocation_notify AFTER INSERT ON public.revocation REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION revocation_notify();
CREATE OR REPLACE FUNCTION public.revocation_in_order()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  perform pg_advisory_xact_lock(hashtext('keyturn:revocation'));
  return null;
end $function$
;
CREATE TRIGGER revocation_in_order BEFORE INSERT ON public.revocation FOR EACH STATEMENT EXECUTE FUNCTION revocation_in_order();

create table role (
  name text not null,
  description text default ''::text not null,
  permissions text[] default '{}'::text[] not null,
  created_at timestamp with time zone not null
);
alter table role add constraint role_pkey PRIMARY KEY (name);
alter table role add constraint role_description_check CHECK ((length(description) <= 200));
alter table role add constraint role_name_check CHECK ((name ~ '^[a-z][a-z0-9_.:-]{0,63}$'::text));
alter table role add constraint role_permissions_check CHECK ((array_position(permissions, NULL::text) IS NULL));

create table service_secret (
  name text not null,
  sealed_value bytea not null
);
alter table service_secret add constraint service_secret_pkey PRIMARY KEY (name);
alter table service_secret add constraint service_secret_name_check CHECK ((name ~ '^[a-z][a-z0-9_]{0,63}$'::text));

create table session (
  id uuid not null,
  account_id uuid not null,
  generation bigint default 0 not null,
  transport text not null,
  client_id text not null,
  scope text default ''::text not null,
  amr text[] not null,
  acr text not null,
  user_agent text,
  address inet,
  created_at timestamp with time zone not null,
  rotated_at timestamp with time zone not null,
  idle_expires_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  ended_because text,
  dpop_jkt text,
  status_index bigint
) with (fillfactor=75);
alter table session add constraint session_pkey PRIMARY KEY (id);
alter table session add constraint session_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id) ON DELETE CASCADE;
alter table session add constraint session_check CHECK ((rotated_at >= created_at));
alter table session add constraint session_check1 CHECK ((expires_at > created_at));
alter table session add constraint session_check2 CHECK ((idle_expires_at <= expires_at));
alter table session add constraint session_check3 CHECK (((ended_at IS NULL) = (ended_because IS NULL)));
alter table session add constraint session_dpop_jkt_check CHECK ((length(dpop_jkt) = 43));
alter table session add constraint session_ended_because_check CHECK ((ended_because = ANY (ARRAY['logout'::text, 'logout_all'::text, 'ended_by_owner'::text, 'ended_by_admin'::text, 'password_changed'::text, 'refresh_reused'::text, 'account_disabled'::text, 'session_limit'::text, 'revoked_by_client'::text])));
alter table session add constraint session_generation_check CHECK (((generation >= 0) AND (generation <= '4294967295'::bigint)));
alter table session add constraint session_transport_check CHECK ((transport = ANY (ARRAY['body'::text, 'cookie'::text])));
alter table session add constraint session_user_agent_check CHECK ((length(user_agent) <= 256));
CREATE INDEX session_account_id_idx ON public.session USING btree (account_id);
CREATE INDEX session_ended_at_idx ON public.session USING btree (ended_at) WHERE (ended_at IS NOT NULL);
CREATE INDEX session_expires_at_idx ON public.session USING btree (expires_at);
CREATE UNIQUE INDEX session_status_index_idx ON public.session USING btree (status_index) WHERE (status_index IS NOT NULL);
CREATE OR REPLACE FUNCTION public.session_status_ended()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  insert into status_entry (status_index, expires_at)
  -- Twice the longest life that an access token can be given.
  values (new.status_index, new.ended_at + interval '2 hours')
  on conflict do nothing;
  return null;
end $function$
;
CREATE TRIGGER session_status_ended AFTER UPDATE OF ended_at ON public.session FOR EACH ROW WHEN (((old.ended_at IS NULL) AND (new.ended_at IS NOT NULL) AND (new.status_index IS NOT NULL))) EXECUTE FUNCTION session_status_ended();
CREATE OR REPLACE FUNCTION public.session_status_deleted()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  insert into status_entry (status_index, expires_at)
  values (old.status_index, old.expires_at)
  on conflict do nothing;
  return null;
end $function$
;
CREATE TRIGGER session_status_deleted AFTER DELETE ON public.session FOR EACH ROW WHEN (((old.ended_at IS NULL) AND (old.status_index IS NOT NULL))) EXECUTE FUNCTION session_status_deleted();

create table signing_key (
  kid text not null,
  algorithm text not null,
  public_jwk jsonb not null,
  sealed_private_key bytea,
  created_at timestamp with time zone not null,
  signs_from timestamp with time zone not null,
  gone_at timestamp with time zone,
  revoked_because text,
  provider text default 'local'::text not null,
  provider_reference text
);
alter table signing_key add constraint signing_key_pkey PRIMARY KEY (kid);
alter table signing_key add constraint signing_key_algorithm_check CHECK ((algorithm = ANY (ARRAY['ES256'::text, 'Ed25519'::text, 'RS256'::text, 'PS256'::text])));
alter table signing_key add constraint signing_key_check CHECK ((signs_from >= created_at));
alter table signing_key add constraint signing_key_gone_at_check CHECK ((gone_at >= created_at));
alter table signing_key add constraint signing_key_kid_check CHECK ((length(kid) = 43));
alter table signing_key add constraint signing_key_private_half_check CHECK ((((provider = 'local'::text) = (sealed_private_key IS NOT NULL)) AND ((provider = 'local'::text) = (provider_reference IS NULL))));
alter table signing_key add constraint signing_key_provider_check CHECK ((provider ~ '^[a-z][a-z0-9_-]{0,31}$'::text));
alter table signing_key add constraint signing_key_provider_reference_check CHECK (((length(provider_reference) >= 1) AND (length(provider_reference) <= 1000)));
alter table signing_key add constraint signing_key_public_jwk_check CHECK ((NOT (public_jwk ?| ARRAY['d'::text, 'p'::text, 'q'::text, 'dp'::text, 'dq'::text, 'qi'::text, 'oth'::text, 'k'::text, 'priv'::text])));
alter table signing_key add constraint signing_key_revoked_because_check CHECK (((length(revoked_because) >= 1) AND (length(revoked_because) <= 200)));
alter table signing_key add constraint signing_key_revoked_check CHECK (((revoked_because IS NULL) OR (gone_at IS NOT NULL)));
CREATE OR REPLACE FUNCTION public.signing_key_notify()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  perform pg_notify('keyturn_signing_key', '');
  return null;
end $function$
;
CREATE TRIGGER signing_key_notify AFTER INSERT OR DELETE OR UPDATE ON public.signing_key FOR EACH STATEMENT EXECUTE FUNCTION signing_key_notify();

create table status_entry (
  status_index bigint not null,
  expires_at timestamp with time zone not null
);
alter table status_entry add constraint status_entry_pkey PRIMARY KEY (status_index);
CREATE INDEX status_entry_expires_at_idx ON public.status_entry USING btree (expires_at);

create table used_identifier (
  digest bytea not null,
  expires_at timestamp with time zone not null
);
alter table used_identifier add constraint used_identifier_pkey PRIMARY KEY (digest);
alter table used_identifier add constraint used_identifier_digest_check CHECK ((length(digest) = 32));
CREATE INDEX used_identifier_expires_at_idx ON public.used_identifier USING btree (expires_at);
