#!/bin/sh
# Keyturn on http://localhost:3000, and a service on Django REST Framework on http://localhost:4003. Ends with Ctrl-C.
exec node "$(dirname "$0")/../with-keyturn/run.js" service-django
