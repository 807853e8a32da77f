#!/bin/sh
# Installs what the tests use beside npm's packages, where Debian has it: verifiers in another language (test/interop)
# nginx and PgBouncer (test/deploy). Where all is there already, it does nothing.
set -eu

packages='python3-jwt python3-jwcrypto python3-cryptography nginx-light pgbouncer'

if ! command -v apt-get >/dev/null 2>&1; then
  echo "test-deps: no apt-get here; without $packages some tests say that they skip"
  exit 0
fi
if /usr/bin/python3 -c 'import jwt, jwcrypto, cryptography' 2>/dev/null && command -v nginx >/dev/null 2>&1 && command -v pgbouncer >/dev/null 2>&1; then
  exit 0
fi

sudo=''
if [ "$(id -u)" -ne 0 ]; then sudo='sudo'; fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $packages >/dev/null
