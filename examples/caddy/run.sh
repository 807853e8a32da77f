#!/bin/sh
# Keyturn, a shop, and caddy in front of both, on http://localhost:8080. Ends with Ctrl-C.
exec node "$(dirname "$0")/../behind-a-proxy/run.js" caddy
