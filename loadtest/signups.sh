#!/usr/bin/env bash
# Many clients sign members up under one root at once, each on a connection of its own; then what must hold is
# checked: every answer is 200, no parent has more than the width of the plan, the root's downline has
# everybody. Needs bash, curl and awk. Bounded in number and time, loopback only.
#
#   loadtest/signups.sh                               starts target/release/upline on a directory of its own,
#                                                     and removes that afterwards
#   URL=http://127.0.0.1:8000 loadtest/signups.sh     uses a running server; THE MEMBERS STAY IN ITS NETWORK
#
# CLIENTS=16 and MEMBERS=4000 may be set, and DIRECTORY, below which the data goes (the disk that is to be
# measured), and WIDTH.
set -euo pipefail
cd "$(dirname "$0")/.."

CLIENTS=${CLIENTS:-16}
MEMBERS=${MEMBERS:-4000}
WIDTH=${WIDTH:-3}
# A check for people who wait, and on machines that others share: more is for a load generator.
CLIENTS_MAX=64
MEMBERS_MAX=200000
SECONDS_MAX=120

fail() {
  echo "signups.sh: $*" >&2
  exit 1
}
is_between() { [[ $1 =~ ^[0-9]{1,9}$ ]] && (($2 <= 10#$1 && 10#$1 <= $3)); }
is_between "$CLIENTS" 1 $CLIENTS_MAX || fail "CLIENTS must be between 1 and $CLIENTS_MAX"
is_between "$MEMBERS" "$CLIENTS" $MEMBERS_MAX || fail "MEMBERS must be between CLIENTS and $MEMBERS_MAX"
is_between "$WIDTH" 1 1000 || fail "WIDTH must be between 1 and 1000"

work=$(mktemp -d "${DIRECTORY:-${TMPDIR:-/tmp}}/upline-loadtest-XXXXXX")
server=
clean_up() {
  if [[ -n $server ]]; then
    kill "$server" 2>/dev/null || true
    wait "$server" || true
  fi
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

if [[ -z ${URL:-} ]]; then
  binary=${CARGO_TARGET_DIR:-target}/release/upline
  [[ -x $binary ]] || fail "there is no $binary: cargo build --release"
  "$binary" serve --addr 127.0.0.1:0 --data-dir "$work/data" --max-children "$WIDTH" \
    >"$work/out" 2>"$work/err" &
  server=$!
  for _ in $(seq 300); do
    URL=$(sed -n 's/^listening on //p' "$work/out")
    [[ -n $URL ]] && break
    kill -0 "$server" 2>/dev/null || fail "the server ended: $(cat "$work/err")"
    sleep 0.1
  done
  [[ -n $URL ]] || fail "the server does not listen after 30 s"
fi
[[ $URL =~ ^http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?$ ]] ||
  fail "URL must be on loopback, without a path: $URL"
[[ $(curl -s -o "$work/ready" -w '%{http_code}' --max-time 10 "$URL/readyz") == 200 ]] ||
  fail "$URL is not ready"

# Ids of this run: eight random hexadecimal digits, then the number of the member; 0 is the root.
run=$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')
root="$run-0000-4000-8000-000000000000"
post() { curl -s --max-time 30 "$URL/user/register" -H 'Content-Type: application/json' -d "$1"; }
post "{\"user_id\":\"$root\"}" | grep -q '"parent_id":null' || fail "the root was not registered"

# One curl per client, with all its requests on one connection.
for ((client = 0; client < CLIENTS; client++)); do
  awk -v url="$URL/user/register" -v run="$run" -v root="$root" \
    -v client="$client" -v clients="$CLIENTS" -v members="$MEMBERS" \
    'BEGIN {
      for (member = client + 1; member <= members; member += clients) {
        if (client + 1 < member) print "next"
        print "url = \"" url "\""
        print "header = \"Content-Type: application/json\""
        printf "data = \"{\\\"user_id\\\":\\\"%s-0000-4000-8000-%012x\\\",", run, member
        printf "\\\"parent_id\\\":\\\"%s\\\"}\"\n", root
        print "silent"
        print "max-time = 30"
        print "write-out = \"\\n%{http_code} %{time_total}\\n\""
      }
    }' >"$work/requests.$client"
done

disk=$(df -P "$work" | awk 'NR == 2 { print $1 " (" $6 ")" }')
echo "$MEMBERS signups by $CLIENTS clients, closed loop, data on $disk"
began=$(date +%s%N)
clients=()
for ((client = 0; client < CLIENTS; client++)); do
  timeout "$SECONDS_MAX" curl --config "$work/requests.$client" >"$work/answers.$client" &
  clients+=($!)
done
broken=0
for client in "${clients[@]}"; do wait "$client" || broken=$((broken + 1)); done
ended=$(date +%s%N)
((broken == 0)) || echo "$broken clients did not end well (at most $SECONDS_MAX s each)"

# Lines in turn: a member, a status with seconds.
cat "$work"/answers.* | awk '/^[0-9][0-9][0-9] [0-9.]+$/ { print $1 }' | sort | uniq -c |
  awk '{ print "status " $2 ": " $1 }'
cat "$work"/answers.* | awk '/^200 [0-9.]+$/ { print $2 }' | sort -n >"$work/seconds"
awk -v nanos=$((ended - began)) '
  { seconds[NR] = $1 }
  function at(share) { place = int(NR * share) + 1; return seconds[place < NR ? place : NR] * 1000 }
  END {
    if (NR)
      printf "%.0f signups/s; ms: p50 %.2f  p99 %.2f  longest %.2f\n",
        NR / nanos * 1e9, at(0.5), at(0.99), at(1)
  }' "$work/seconds"

good=$(cat "$work"/answers.* | grep -c '^200 ' || true)
widest=$(cat "$work"/answers.* | sed -n 's/.*"parent_id":"\([^"]*\)".*/\1/p' | sort | uniq -c |
  sort -rn | awk 'NR == 1 { print $1 }')
count=$(curl -s --max-time 30 "$URL/user/downline/$root/count" || echo unknown)
echo "widest parent: ${widest:-0} children (limit $WIDTH); downline of the root: $count"
[[ $good == "$MEMBERS" ]] || fail "$good of $MEMBERS signups were answered 200"
[[ $count == "$MEMBERS" ]] || fail "the downline should be $MEMBERS"
((${widest:-0} <= WIDTH)) || fail "a parent has more than $WIDTH children"
echo "all good"
