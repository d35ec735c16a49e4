#!/bin/sh
# Submits a fetch of $3 to the API at $1 with the key $2, waits for its end, and prints what it fetched.
set -eu
submission=$(printf '{"kind": "web.fetch", "payload": {"url": "%s"}}' "$3")
location=$(curl -sS --fail -o /dev/null -D - "$1/v1/jobs" -H "Authorization: Bearer $2" \
    -H 'Content-Type: application/json' -H 'Idempotency-Key: "from-curl"' -d "$submission" |
    tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
curl -sS --fail -H "Authorization: Bearer $2" -H 'Prefer: wait=20' "$1$location" | grep -q '"state":"succeeded"'
curl -sS --fail -H "Authorization: Bearer $2" "$1$location/artifacts/body"
