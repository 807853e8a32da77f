#!/bin/sh
# Installs what the tests use beside npm's packages, where Debian has it: verifiers in other languages, and Django with
# what moves over from it (test/interop), nginx, Caddy and PgBouncer (test/deploy), Redis (test/http), Chromium
# (test/browser). Then other platforms than Node, from npm's registry (test/verifier). Where all is there already, it does
# nothing.
set -eu

# With no script of theirs: the programs lie in packages of each system's own.
runtimes='bun@1.4.5 deno@2.9.6 workerd@1.20261117.1'
runtimes_folder=${KEYTURN_RUNTIMES:-$HOME/.cache/keyturn-runtimes}
install_runtimes() {
  for runtime in bun deno workerd; do [ -d "$runtimes_folder/node_modules/$runtime" ] || missing=yes; done
  [ "${missing:-no}" = yes ] || return 0
  mkdir -p "$runtimes_folder"
  # shellcheck disable=SC2086
  npm install --prefix "$runtimes_folder" --no-save --ignore-scripts --no-audit --no-fund --silent $runtimes >/dev/null 2>&1 ||
    echo "test-deps: npm's registry does not give $runtimes; tests that need them say that they skip"
}
install_runtimes

packages='python3-jwt python3-jwcrypto python3-cryptography python3-django python3-djangorestframework
  python3-djangorestframework-simplejwt python3-bcrypt python3-argon2 nginx-light caddy pgbouncer redis-server
  python3-authlib python3-jose ruby ruby-jwt libcrypt-jwt-perl chromium'
modules='jwt, jwcrypto, cryptography, django, rest_framework, rest_framework_simplejwt, bcrypt, argon2, authlib, jose'

all_there() {
  /usr/bin/python3 -c "import $modules" 2>/dev/null || return 1
  ruby -rjwt -e '' 2>/dev/null || return 1
  /usr/bin/perl -MCrypt::JWT -e 1 2>/dev/null || return 1
  for program in nginx caddy pgbouncer redis-server chromium; do command -v $program >/dev/null 2>&1 || return 1; done
}

if all_there; then
  exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
  echo "test-deps: no apt-get here; without $modules (Python), ruby-jwt, Crypt::JWT, nginx, caddy, pgbouncer, redis-server and chromium some tests say that they skip"
  exit 0
fi

sudo=''
if [ "$(id -u)" -ne 0 ]; then sudo='sudo'; fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $packages >/dev/null

if ! all_there; then
  echo "test-deps: installed, and yet not all can be used: $modules (Python), ruby-jwt, Crypt::JWT, nginx, caddy, pgbouncer, redis-server and chromium" >&2
  exit 1
fi
