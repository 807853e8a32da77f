#!/bin/sh
# Installs Django REST Framework with simplejwt, gunicorn and what they need of Debian, and prints their versions.
set -eu

packages='python3-django python3-djangorestframework python3-djangorestframework-simplejwt python3-psycopg2
  python3-argon2 gunicorn'
versions='import django, rest_framework, rest_framework_simplejwt, psycopg2, argon2, gunicorn
print(f"Django {django.__version__}, DRF {rest_framework.__version__}, simplejwt {rest_framework_simplejwt.__version__}, gunicorn {gunicorn.__version__}")'

if ! /usr/bin/python3 -c "$versions" 2>/dev/null; then
  command -v apt-get >/dev/null 2>&1 || { echo 'there is no apt-get here' >&2; exit 1; }
  sudo=''
  if [ "$(id -u)" -ne 0 ]; then sudo='sudo -n'; fi
  export DEBIAN_FRONTEND=noninteractive
  $sudo apt-get update -qq >&2
  # shellcheck disable=SC2086
  $sudo apt-get install -y -qq --no-install-recommends $packages >&2
  /usr/bin/python3 -c "$versions"
fi
