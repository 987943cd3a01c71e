#!/usr/bin/env bash
# Runs the test suite of Redis 7.0.15 against Kvasir, as its external server: tests/redis-suite.sh REDIS_SOURCE [UNIT...]
# Needs tclsh, redis-cli and redis-benchmark. Nothing of Redis lies in this repository: REDIS_SOURCE is a folder with its
# source (for instance from `apt-get source redis`). What each unit leaves out, and why, is in redis-suite.txt.
# KVASIR_SUITE_FLAGS goes to the suite, for instance "--ignore-encoding --ignore-digest".
set -u

[ $# -ge 1 ] && [ -f "$1/tests/test_helper.tcl" ] || { sed -n '2,5s/^# //p' "$0"; exit 2; }
source=$(cd -P "$1" && pwd)
shift
here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for tool in tclsh redis-cli redis-benchmark; do
  command -v $tool >/dev/null || { echo "redis-suite: $tool is missing" >&2; exit 2; }
done

# Units for which the suite starts servers itself: through redis-suite-server.sh, on ports of its own choice.
own='unit/auth unit/info unit/limits unit/obuf-limits unit/networking unit/shutdown unit/wait unit/client-eviction unit/maxmemory unit/oom-score-adj'

units=("$@")
if [ $# -eq 0 ]; then
  units=(unit/dump unit/protocol unit/keyspace unit/scan unit/info-command unit/type/string unit/type/incr
    unit/expire unit/other unit/multi unit/quit unit/latency-monitor unit/pubsub unit/slowlog unit/introspection
    unit/introspection-2 unit/bitops unit/bitfield unit/pause unit/querybuf unit/tracking unit/replybufsize
    integration/redis-cli unit/auth unit/info unit/limits unit/obuf-limits unit/networking unit/client-eviction)
fi

# Builds what is out of date: the suite does not wait for that.
"$here/../kvasir" --version > /dev/null || exit 2

work=$(mktemp -d)
server=
stop() {
  [ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null
  server=
}
trap 'stop; rm -rf "$work"' EXIT
mkdir -p "$work/redis/src"
cp -r "$source/tests" "$work/redis/"
ln -s "$here/redis-suite-server.sh" "$work/redis/src/redis-server"
for tool in redis-cli redis-benchmark; do ln -s "$(command -v $tool)" "$work/redis/src/$tool"; done

passed=0 failed=0 skipped=0
for unit in "${units[@]}"; do
  awk -F '\t' -v unit="$unit" '$1 == unit { print $3 }' "$here/redis-suite.txt" > "$work/skip"
  if [[ " $own " == *" $unit "* ]]; then
    # Below what the system gives to clients, and so that ten thousand more, which the suite looks at, too, is a port.
    mode="--baseport $((20000 + RANDOM % 1200 * 10)) --portcount 40 --clients 1"
  else
    # A server of its own: what one unit leaves behind is not the next one's.
    rm -rf "$work/data" "$work/ready"
    "$here/../kvasir" server --data "$work/data" --resp 127.0.0.1:0 --durability none --json > "$work/ready" 2> "$work/server.log" &
    server=$!
    until grep -q '}' "$work/ready" 2>/dev/null; do
      kill -0 "$server" 2>/dev/null || { cat "$work/server.log" >&2; exit 2; }
      sleep 0.1
    done
    port=$(sed -n 's/.*"resp":\[*"[^"]*:\([0-9]*\)".*/\1/p' "$work/ready")
    mode="--host 127.0.0.1 --port $port"
  fi
  # shellcheck disable=SC2086
  (cd "$work/redis" && timeout 600 tclsh tests/test_helper.tcl $mode --durable \
    --skipfile "$work/skip" ${KVASIR_SUITE_FLAGS:-} --single "$unit") 2>&1 | sed 's/\x1b\[[0-9;]*m//g' > "$work/log"
  [ "${PIPESTATUS[0]}" -eq 124 ] && echo "[err]: $unit took too long" >> "$work/log"
  sed '/^!!! WARNING/,$d' "$work/log" > "$work/results"
  ok=$(grep -ac '^\[ok\]' "$work/results") bad=$(grep -ac '^\[err\]\|^\[exception\]' "$work/results") left=$(grep -ac '^\[skip\]' "$work/results")
  grep -aq 'took too long' "$work/log" && bad=$((bad + 1))
  if [ $((ok + bad + left)) -eq 0 ]; then
    # Its server did not start, or the like: silence may not pass for success.
    bad=1
    tail -n 20 "$work/log"
  fi
  printf '%-28s %4d passed, %d failed, %d left out\n' "$unit" "$ok" "$bad" "$left"
  [ "$bad" -eq 0 ] || grep -a -A 3 '^\[err\]\|^\[exception\]' "$work/log" | head -n 60
  passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + left))
  stop
done
echo "$passed passed, $failed failed, $skipped left out"
[ "$failed" -eq 0 ]
