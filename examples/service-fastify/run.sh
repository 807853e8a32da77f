#!/bin/sh
# Keyturn on http://localhost:3000, and a service on Fastify on http://localhost:4001. Ends with Ctrl-C.
exec node "$(dirname "$0")/../with-keyturn/run.js" service-fastify
