#!/usr/bin/env bash
# Signups at a steady rate with oha, latencies counted from when each request was meant to be sent. THE
# MEMBERS STAY IN THE NETWORK of the server at URL.
#
#   loadtest/oha/signups.sh
#   URL=http://127.0.0.1:8000 RATE=5000 SECONDS_LONG=30 CONNECTIONS=256 loadtest/oha/signups.sh
#
# oha draws each body from a file, so some are drawn twice; `/v1` answers a repeated registration 200 and
# changes nothing. There are twenty bodies for each request, so at most some 3% are repeats.
set -euo pipefail

URL=${URL:-http://127.0.0.1:8000}
RATE=${RATE:-2000}
SECONDS_LONG=${SECONDS_LONG:-20}
CONNECTIONS=${CONNECTIONS:-256}
# oha keeps all bodies in memory, some 130 bytes each.
BODIES_MAX=5000000

[[ $URL =~ ^https?://[^/]+$ ]] || { echo "URL must be an address without a path: $URL" >&2; exit 1; }
for setting in "$RATE" "$SECONDS_LONG" "$CONNECTIONS"; do
  [[ $setting =~ ^[1-9][0-9]{0,8}$ ]] ||
    { echo "RATE, SECONDS_LONG and CONNECTIONS are whole numbers above 0: $setting" >&2; exit 1; }
done
bodies=$((20 * RATE * SECONDS_LONG))
((bodies <= BODIES_MAX)) || bodies=$BODIES_MAX

work=$(mktemp -d "${TMPDIR:-/tmp}/upline-oha-XXXXXX")
trap 'rm -rf "$work"' EXIT

# Ids of this run: eight random hexadecimal digits, then the number of the member; 0 is the root.
run=$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')
root="$run-0000-4000-8000-000000000000"
code=$(curl -s -o "$work/root" -w '%{http_code}' --max-time 30 "$URL/v1/members" \
  -H 'Content-Type: application/json' -d "{\"user_id\":\"$root\"}")
[[ $code == 201 ]] || { echo "the root was not registered: $code $(cat "$work/root")" >&2; exit 1; }
awk -v run="$run" -v root="$root" -v bodies="$bodies" 'BEGIN {
  for (member = 1; member <= bodies; member++)
    printf "{\"user_id\":\"%s-0000-4000-8000-%012x\",\"sponsor\":{\"user_id\":\"%s\"}}\n", run, member, root
}' >"$work/bodies"

oha --no-tui --latency-correction -q "$RATE" -z "${SECONDS_LONG}s" -c "$CONNECTIONS" \
  -m POST -T application/json -Z "$work/bodies" "$URL/v1/members"
