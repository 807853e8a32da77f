#!/bin/sh
# Keyturn on http://localhost:3000, and a service on Express on http://localhost:4002. Ends with Ctrl-C.
exec node "$(dirname "$0")/../with-keyturn/run.js" service-express
