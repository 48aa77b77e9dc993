#!/usr/bin/env bash
# Questions about members at a steady rate with oha, latencies counted from when each request was meant to be
# sent.
#
#   loadtest/oha/reads.sh
#   URL=http://127.0.0.1:8000 RATE=10000 SECONDS_LONG=30 CONNECTIONS=64 \
#     ROUTE='/upline?limit=15' ROOT=<user_id> loadtest/oha/reads.sh
#
# ROUTE is what follows `/v1/members/{id}`: nothing, `/rank`, or `/upline?limit=15`. Who is asked about stands
# below ROOT; without one the script signs up a root and a thousand members, WHO STAY IN THE NETWORK of the
# server at URL.
set -euo pipefail

URL=${URL:-http://127.0.0.1:8000}
RATE=${RATE:-5000}
SECONDS_LONG=${SECONDS_LONG:-20}
CONNECTIONS=${CONNECTIONS:-64}
ROUTE=${ROUTE:-}
ROOT=${ROOT:-}
# Members that are asked about: more than fit a cache near the core, few enough to be fetched in a moment.
MEMBERS=10000
# Members that are signed up where there is no ROOT.
OWN=1000

[[ $URL =~ ^https?://[^/]+$ ]] || { echo "URL must be an address without a path: $URL" >&2; exit 1; }
for setting in "$RATE" "$SECONDS_LONG" "$CONNECTIONS"; do
  [[ $setting =~ ^[1-9][0-9]{0,8}$ ]] ||
    { echo "RATE, SECONDS_LONG and CONNECTIONS are whole numbers above 0: $setting" >&2; exit 1; }
done

work=$(mktemp -d "${TMPDIR:-/tmp}/upline-oha-XXXXXX")
trap 'rm -rf "$work"' EXIT

if [[ -z $ROOT ]]; then
  run=$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')
  ROOT="$run-0000-4000-8000-000000000000"
  awk -v run="$run" -v root="$ROOT" -v own="$OWN" 'BEGIN {
    printf "{\"user_id\":\"%s\"}\n", root
    for (member = 1; member <= own; member++)
      printf "{\"user_id\":\"%s-0000-4000-8000-%012x\",\"sponsor\":{\"user_id\":\"%s\"}}\n", run, member, root
  }' >"$work/members"
  curl -sf --max-time 60 -o "$work/registered" "$URL/v1/members/batch" \
    -H 'Content-Type: application/x-ndjson' --data-binary @"$work/members" ||
    { echo "the members were not registered" >&2; exit 1; }
fi
# The downline ends when enough of it was read.
curl -s --max-time 60 "$URL/v1/members/$ROOT/downline" -H 'Accept: application/x-ndjson' |
  head -n "$MEMBERS" >"$work/rows" || true
sed -n 's/.*"user_id":"\([0-9a-f-]\{36\}\)".*/\1/p' "$work/rows" |
  sed "s#^#$URL/v1/members/#; s#\$#$ROUTE#" >"$work/urls"
[[ -s $work/urls ]] || { echo "nobody stands below $ROOT at $URL" >&2; exit 1; }

oha --no-tui --latency-correction -q "$RATE" -z "${SECONDS_LONG}s" -c "$CONNECTIONS" \
  --urls-from-file "$work/urls"
