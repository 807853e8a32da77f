-- Makes auth_user.csv and supabase.csv beside it: psql -f make.sql, in this folder, on any Postgres from 13 on.
\set ON_ERROR_STOP on
\set dump `cat django.json`

-- The columns in the order of Django 4.2 on Postgres (sqlmigrate auth 0001 … 0012).
create temp table auth_user (
  id integer, password varchar(128), last_login timestamptz, is_superuser boolean, username varchar(150),
  first_name varchar(150), last_name varchar(150), email varchar(254), is_staff boolean, is_active boolean,
  date_joined timestamptz
);
insert into auth_user
select (element ->> 'pk')::integer, (json_populate_record(null::auth_user, element -> 'fields')).password,
  (element #>> '{fields,last_login}')::timestamptz, (element #>> '{fields,is_superuser}')::boolean,
  element #>> '{fields,username}', element #>> '{fields,first_name}', element #>> '{fields,last_name}',
  element #>> '{fields,email}', (element #>> '{fields,is_staff}')::boolean, (element #>> '{fields,is_active}')::boolean,
  (element #>> '{fields,date_joined}')::timestamptz
from json_array_elements(:'dump') as element
where element ->> 'model' = 'auth.user';
set timezone = 'Europe/Berlin';
\copy (select * from auth_user order by id) to 'auth_user.csv' csv header

-- Some columns of Supabase's auth.users; the passwords are those of ../passwords/django.json.
create temp table users (
  instance_id uuid, id uuid, aud text, role text, email text, encrypted_password text, email_confirmed_at timestamptz,
  last_sign_in_at timestamptz, raw_user_meta_data jsonb, created_at timestamptz, phone text, banned_until timestamptz,
  is_sso_user boolean, deleted_at timestamptz, is_anonymous boolean
);
\set bcrypt `node -p 'JSON.parse(require("fs").readFileSync("../passwords/django.json")).flatMap((one) => one.vectors).find((one) => one.encoded.startsWith("$2a$")).encoded'`
\set firebase `node -p 'const f = JSON.parse(require("fs").readFileSync("../passwords/firebase.json")); "$fbscrypt$v=1,n=" + f.memCost + ",r=" + f.rounds + ",p=1,ss=" + f.saltSeparator + ",sk=" + f.signerKey + "$" + f.salt + "$" + f.hash'`
insert into users values
  ('00000000-0000-0000-0000-000000000000', '11111111-1111-4111-8111-111111111111', 'authenticated', 'authenticated',
   'ada@example.com', :'bcrypt', '2023-01-02 03:04:05.678+00', '2024-01-02 03:04:05+00',
   '{"name": "Ada \"Countess\", Lovelace\nof Ockham"}', '2023-01-01 00:00:00+00', null, null, false, null, false),
  ('00000000-0000-0000-0000-000000000000', '22222222-2222-4222-8222-222222222222', 'authenticated', 'authenticated',
   'grace@example.com', :'firebase', null, null, '{}', '2023-01-01 00:00:00+00', null, null, false, null, false),
  ('00000000-0000-0000-0000-000000000000', '33333333-3333-4333-8333-333333333333', 'authenticated', 'authenticated',
   'banned@example.com', :'bcrypt', null, null, '{}', '2023-01-01 00:00:00+00', null, '2125-01-01 00:00:00+00', false,
   null, false),
  ('00000000-0000-0000-0000-000000000000', '44444444-4444-4444-8444-444444444444', 'authenticated', 'authenticated',
   'gone@example.com', :'bcrypt', null, null, '{}', '2023-01-01 00:00:00+00', null, null, false,
   '2023-06-01 00:00:00+00', false),
  ('00000000-0000-0000-0000-000000000000', '55555555-5555-4555-8555-555555555555', 'authenticated', 'authenticated',
   null, '', null, null, '{}', '2023-01-01 00:00:00+00', null, null, false, null, true),
  ('00000000-0000-0000-0000-000000000000', '66666666-6666-4666-8666-666666666666', 'authenticated', 'authenticated',
   null, '', null, null, '{}', '2023-01-01 00:00:00+00', '15551234567', '2020-01-01 00:00:00+00', false, null, false);
\copy users to 'supabase.csv' csv header
