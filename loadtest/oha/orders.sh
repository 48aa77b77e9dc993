#!/usr/bin/env bash
# Orders at a steady rate with oha, latencies counted from when each request was meant to be sent. THE ORDERS,
# AND A THOUSAND MEMBERS THAT THEY ARE CREDITED TO, STAY IN THE NETWORK of the server at URL, whose plan must
# take orders, as that of `upline demo` does.
#
#   loadtest/oha/orders.sh
#   URL=http://127.0.0.1:8000 RATE=5000 SECONDS_LONG=30 CONNECTIONS=256 KIND=retail VOLUME=pv \
#     loadtest/oha/orders.sh
#
# KIND and VOLUME are of the server's plan; `-` where it has none.
#
# oha draws each body from a file, so some are drawn twice; a repeated order is answered 200 and changes
# nothing. There are twenty bodies for each request, so at most some 3% are repeats.
set -euo pipefail

URL=${URL:-http://127.0.0.1:8000}
RATE=${RATE:-2000}
SECONDS_LONG=${SECONDS_LONG:-20}
CONNECTIONS=${CONNECTIONS:-256}
KIND=${KIND:-retail}
VOLUME=${VOLUME:-pv}
# Members that orders are credited to.
OWN=1000
# oha keeps all bodies in memory, some 180 bytes each.
BODIES_MAX=5000000

[[ $URL =~ ^https?://[^/]+$ ]] || { echo "URL must be an address without a path: $URL" >&2; exit 1; }
for setting in "$RATE" "$SECONDS_LONG" "$CONNECTIONS"; do
  [[ $setting =~ ^[1-9][0-9]{0,8}$ ]] ||
    { echo "RATE, SECONDS_LONG and CONNECTIONS are whole numbers above 0: $setting" >&2; exit 1; }
done
for name in "$KIND" "$VOLUME"; do
  [[ $name =~ ^[a-z0-9_-]{1,64}$ ]] ||
    { echo "KIND and VOLUME are names of the plan: $name" >&2; exit 1; }
done
bodies=$((20 * RATE * SECONDS_LONG))
((bodies <= BODIES_MAX)) || bodies=$BODIES_MAX

work=$(mktemp -d "${TMPDIR:-/tmp}/upline-oha-XXXXXX")
trap 'rm -rf "$work"' EXIT

# Ids of this run: eight random hexadecimal digits, then the number of the member; 0 is the root.
run=$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')
awk -v run="$run" -v own="$OWN" 'BEGIN {
  root = run "-0000-4000-8000-000000000000"
  printf "{\"user_id\":\"%s\"}\n", root
  for (member = 1; member < own; member++)
    printf "{\"user_id\":\"%s-0000-4000-8000-%012x\",\"sponsor\":{\"user_id\":\"%s\"}}\n", run, member, root
}' >"$work/members"
curl -sf --max-time 60 -o "$work/registered" "$URL/v1/members/batch" \
  -H 'Content-Type: application/x-ndjson' --data-binary @"$work/members" ||
  { echo "the members were not registered" >&2; exit 1; }
awk -v run="$run" -v own="$OWN" -v bodies="$bodies" -v kind="$KIND" -v volume="$VOLUME" 'BEGIN {
  kind = kind == "-" ? "" : "\"kind\":\"" kind "\","
  volume = volume == "-" ? "" : "\"" volume "\":\"40\""
  for (order = 1; order <= bodies; order++) {
    printf "{\"order_id\":\"%s-%d\",\"user_id\":\"%s-0000-4000-8000-%012x\",", run, order, run, order % own
    printf "%s\"lines\":[{\"amount\":\"49.95\",\"volumes\":{%s}}]}\n", kind, volume
  }
}' >"$work/bodies"
# One by itself, so that a plan that does not take it is told at once.
code=$(head -n 1 "$work/bodies" | curl -s -o "$work/first" -w '%{http_code}' --max-time 30 "$URL/v1/orders" \
  -H 'Content-Type: application/json' --data-binary @-)
[[ $code == 201 ]] || { echo "the first order was not placed: $code $(cat "$work/first")" >&2; exit 1; }

oha --no-tui --latency-correction -q "$RATE" -z "${SECONDS_LONG}s" -c "$CONNECTIONS" \
  -m POST -T application/json -Z "$work/bodies" "$URL/v1/orders"
