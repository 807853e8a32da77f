-- Two roles: one owns the schema and migrates it, the other runs the service and cannot change it.
-- psql variables: owner, owner_password, app, app_password.

create role :"owner" login password :'owner_password';
create role :"app" login password :'app_password';

revoke create on schema public from public;
grant usage, create on schema public to :"owner";
grant usage on schema public to :"app";

-- Whatever the owner will make, the service may use.
alter default privileges for role :"owner" in schema public
  grant select, insert, update, delete on tables to :"app";
