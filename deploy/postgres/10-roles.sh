#!/bin/sh
# Runs once, when the database is made.
set -eu
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
  -v owner=keyturn_owner -v owner_password="$(cat /run/secrets/owner_password)" \
  -v app=keyturn_app -v app_password="$(cat /run/secrets/app_password)" \
  -f /roles.sql
