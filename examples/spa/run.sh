#!/bin/sh
# Keyturn, two services, and a page that uses them, on http://localhost:5173. Ends with Ctrl-C.
exec node "$(dirname "$0")/../with-keyturn/run.js" spa
