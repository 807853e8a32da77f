#!/bin/sh
# Makes every secret of docker-compose.yml, each a file of its own, and never replaces one that is there.
# Usage: sh deploy/init-secrets.sh [folder]
set -eu
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
# The folder keeps others out. The files are readable within it, because a container reads them as another user.
chmod 700 "$folder"

random() { openssl rand -base64 32 | tr '+/' '-_' | tr -d '=\n'; }

keep() {
  if [ -e "$folder/$1" ]; then
    echo "kept  $folder/$1"
  else
    printf '%s' "$2" >"$folder/$1"
    chmod 444 "$folder/$1"
    echo "made  $folder/$1"
  fi
}

keep postgres_password "$(random)"
keep owner_password "$(random)"
keep app_password "$(random)"
keep master_key "$(openssl rand -base64 32)"
keep admin_password "$(random)"
keep owner_database_url "postgres://keyturn_owner:$(cat "$folder/owner_password")@postgres:5432/keyturn"
keep app_database_url "postgres://keyturn_app:$(cat "$folder/app_password")@postgres:5432/keyturn"
