#!/usr/bin/env bash
# Kvasir beside Redis, measured by redis-benchmark in one run on one machine, cell by cell in turn.
#
#   bench/redis.sh [--json FILE] [MODE...]     modes: sync interval none (default: all three)
#
# Equal durability: `sync` stands beside appendonly yes + appendfsync always, `interval` (1000 ms) beside everysec,
# `none` beside no append-only file. Redis runs otherwise with its own defaults, no snapshots.
#
# Before each pipeline's tests both servers are left alone until neither has work of its own to catch up on (a rewrite of
# the append-only file, a compaction): else one cell pays for what an earlier one wrote.
#
# Environment (defaults): ROUNDS=3 CLIENTS=50 VALUE=100 KEYS=1000000 PIPELINES="1 16 64" TESTS="set get incr mset"
#   REQUESTS: of a cell at pipeline 1 (200000; pipelined cells do four times as many); DIR: where data goes
#   (artifacts/bench); KVASIR_FLAGS, REDIS_FLAGS: more flags for either server.
# Needs Debian's packages redis-server and redis-tools. Prints the median of the rounds; ratio = kvasir / redis.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."

rounds=${ROUNDS:-3} clients=${CLIENTS:-50} value=${VALUE:-100} keys=${KEYS:-1000000}
pipelines=${PIPELINES:-1 16 64} tests=${TESTS:-set get incr mset} requests=${REQUESTS:-200000}
json= modes=()
while [ $# -gt 0 ]; do
  case $1 in
    --json) json=${2:?--json needs a file}; shift 2 ;;
    sync|interval|none) modes+=("$1"); shift ;;
    -h|--help) sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//'; exit 0 ;;
    *) echo "bench/redis.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
  esac
done
[ ${#modes[@]} -gt 0 ] || modes=(sync interval none)
for need in redis-server:redis-server redis-benchmark:redis-tools redis-cli:redis-tools; do
  command -v "${need%%:*}" >/dev/null || { echo "bench/redis.sh: ${need%%:*} is missing; install Debian's package ${need##*:}" >&2; exit 2; }
done

base=${DIR:-artifacts/bench}
mkdir -p "$base"
work=$(mktemp -d "$base/redis-XXXXXX")
pids=()
cleanup() {
  for pid in "${pids[@]:-}"; do [ -n "$pid" ] && kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
./kvasir --version >/dev/null   # builds, if need be, before anything is measured

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))  # below the ports that connections going out are given
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

await() {
  for _ in $(seq 200); do
    [ "$(redis-cli -p "$1" ping 2>/dev/null)" = PONG ] && return
    kill -0 "$2" 2>/dev/null || break
    sleep 0.1
  done
  echo "bench/redis.sh: $3 did not start:" >&2; cat "$work/$3.log" >&2; exit 1
}

# Waits until neither process has used the processor for a whole second, for a minute at most.
settle() {
  local pid spent before
  for pid in "$@"; do
    before=
    for _ in $(seq 60); do
      spent=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
      [ -n "$before" ] && [ $((spent - before)) -le 3 ] && break
      before=$spent
      sleep 1
    done
  done
}

# One cell: prints "requests-a-second p50 p99".
cell() {
  local port=$1 test=$2 pipeline=$3 count=$4
  redis-benchmark -h 127.0.0.1 -p "$port" -t "$test" -c "$clients" -P "$pipeline" -n "$count" -d "$value" -r "$keys" --csv 2>/dev/null \
    | tr -d '"' | awk -F, '$1 != "test" { print $2, $5, $7; exit }'
}

results=$work/results
: > "$results"
for mode in "${modes[@]}"; do
  mkdir -p "$work/redis-$mode"
  case $mode in
    sync) aof=(--appendonly yes --appendfsync always) ;;
    interval) aof=(--appendonly yes --appendfsync everysec) ;;
    none) aof=(--appendonly no) ;;
  esac
  redis_port=$(free_port)
  # shellcheck disable=SC2086
  redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$PWD/$work/redis-$mode" --save "" "${aof[@]}" ${REDIS_FLAGS:-} > "$work/redis.log" 2>&1 &
  redis_pid=$!; pids+=("$redis_pid")
  kvasir_port=$(free_port)
  # shellcheck disable=SC2086
  ./kvasir server --data "$work/kvasir-$mode" --resp "127.0.0.1:$kvasir_port" --durability "$mode" --interval-ms 1000 ${KVASIR_FLAGS:-} > "$work/kvasir.log" 2>&1 &
  kvasir_pid=$!; pids+=("$kvasir_pid")
  await "$redis_port" "$redis_pid" redis
  await "$kvasir_port" "$kvasir_pid" kvasir

  # Both begin with about the same keys, and warm: reads must not be reads of nothing.
  for port in "$redis_port" "$kvasir_port"; do
    redis-benchmark -h 127.0.0.1 -p "$port" -t set -c "$clients" -P 64 -n "$((keys * 2))" -d "$value" -r "$keys" -q >/dev/null 2>&1
  done
  for round in $(seq "$rounds"); do
    for pipeline in $pipelines; do
      settle "$redis_pid" "$kvasir_pid"
      for test in $tests; do
        count=$requests
        [ "$pipeline" -gt 1 ] && count=$((requests * 4))
        [ "$test" = mset ] && count=$((count / 8))
        # In turn, and who goes first changes. Without pipelining cells last two seconds, and vary by a tenth: three of each.
        again=1
        [ "$pipeline" -eq 1 ] && again=3
        for turn in $(seq "$again"); do
          order="redis kvasir"
          [ $(((round + turn) % 2)) -eq 1 ] && order="kvasir redis"
          for system in $order; do
            port=$redis_port; [ "$system" = kvasir ] && port=$kvasir_port
            echo "$mode $pipeline $test $system $(cell "$port" "$test" "$pipeline" "$count")" >> "$results"
          done
        done
        [ -t 2 ] && tail -n 2 "$results" | sed "s|^|round $round/$rounds  |" >&2
      done
    done
  done
  for pid in "$redis_pid" "$kvasir_pid"; do kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done
  pids=()
done

# Median over the rounds of each cell and system, then one line a cell.
awk -v json="$json" -v clients="$clients" -v value="$value" -v keys="$keys" -v rounds="$rounds" '
  function median(list,   n, parts, i, j, t) {
    n = split(list, parts, " ")
    for (i = 2; i <= n; i++) { t = parts[i] + 0; for (j = i - 1; j > 0 && parts[j] + 0 > t; j--) parts[j + 1] = parts[j]; parts[j + 1] = t }
    return n % 2 ? parts[(n + 1) / 2] + 0 : (parts[n / 2] + parts[n / 2 + 1]) / 2
  }
  NF == 7 {
    cell = $1 " " $2 " " $3
    if (!(cell in seen)) { seen[cell] = 1; order[++cells] = cell }
    rate[cell, $4] = rate[cell, $4] " " $5; p50[cell, $4] = p50[cell, $4] " " $6; p99[cell, $4] = p99[cell, $4] " " $7
  }
  NF != 7 { bad++ }
  END {
    printf "%-9s %8s  %-5s %13s %13s %7s   %9s %9s\n", "mode", "pipeline", "test", "redis/s", "kvasir/s", "ratio", "redis p99", "ours p99"
    if (json) printf "{\"clients\":%d,\"value_bytes\":%d,\"keys\":%d,\"rounds\":%d,\"cells\":[", clients, value, keys, rounds > json
    for (i = 1; i <= cells; i++) {
      c = order[i]; split(c, w, " ")
      r = median(rate[c, "redis"]); k = median(rate[c, "kvasir"]); ratio = r > 0 ? k / r : 0
      printf "%-9s %8d  %-5s %13.0f %13.0f %6.2fx   %6.2f ms %6.2f ms\n", w[1], w[2], w[3], r, k, ratio, median(p99[c, "redis"]), median(p99[c, "kvasir"])
      if (json) printf "%s{\"mode\":\"%s\",\"pipeline\":%d,\"test\":\"%s\",\"redis_per_second\":%.0f,\"kvasir_per_second\":%.0f,\"ratio\":%.3f,\"redis_p50_ms\":%.3f,\"kvasir_p50_ms\":%.3f,\"redis_p99_ms\":%.3f,\"kvasir_p99_ms\":%.3f}", \
        (i > 1 ? "," : ""), w[1], w[2], w[3], r, k, ratio, median(p50[c, "redis"]), median(p50[c, "kvasir"]), median(p99[c, "redis"]), median(p99[c, "kvasir"]) > json
    }
    if (json) print "]}" > json
    if (bad) { print bad " measurements failed" > "/dev/stderr"; exit 1 }
  }' "$results"
