#!/usr/bin/env bash
# What a cluster of three Kvasir nodes costs and how soon it goes on when a leader dies, in one run on one machine.
#
#   bench/cluster.sh [--json FILE] [PART...]     parts: writes failover transfer idle catch-up (default: all)
#
# writes: redis-benchmark against three nodes and against one node with durability sync, cell by cell in turn; ratio =
# three nodes / one. failover: nodes are killed with SIGKILL in turn, while clients of another node write to each shard that the
# victim leads; the time from the kill until a write that began after it is answered. transfer: LEADER TRANSFER, then SIGTERM
# and a start of each node, while clients write: how long they take no answer. idle: what a keyspace of 1,024 empty shards, three
# copies each, costs every node: processor over 30 s, and memory beyond what the node took before. catch-up: a node is away for a
# million writes and comes back while clients write: how fast it applies them, in MiB of keys and values a second, beside what the
# disk carries (a mebibyte at a time, each synced before the next: the follower, too, says that it has something when it is on the disk)
# and loopback, both measured under the same load; what it writes for that (journal, tables); and the clients' p99 before and
# meanwhile, from its start on, and from its first answer on. The clients are closed loops with a pause of 1 ms, and nodes, clients
# and probes share the machine. (kvasir bench cluster)
#
# Environment (defaults): ROUNDS=3 CLIENTS=50 VALUE=100 KEYS=1000000 PIPELINES="1 16" REQUESTS=100000 (of a cell at pipeline
#   1; others do four times as many) KILLS=50 TRANSFERS=50 SHARDS=1024 SECONDS_IDLE=30 MISSED=1000000 MISSED_VALUE=100;
#   DIR: where data goes (artifacts/bench).
# Needs Debian's package redis-tools for writes.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."

rounds=${ROUNDS:-3} clients=${CLIENTS:-50} value=${VALUE:-100} keys=${KEYS:-1000000}
pipelines=${PIPELINES:-1 16} requests=${REQUESTS:-100000}
kills=${KILLS:-50} transfers=${TRANSFERS:-50} shards=${SHARDS:-1024} idle_seconds=${SECONDS_IDLE:-30} missed=${MISSED:-1000000}
missed_value=${MISSED_VALUE:-100}
json= parts=()
while [ $# -gt 0 ]; do
  case $1 in
    --json) json=${2:?--json needs a file}; shift 2 ;;
    writes|failover|transfer|idle|catch-up) parts+=("$1"); shift ;;
    -h|--help) sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//'; exit 0 ;;
    *) echo "bench/cluster.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
  esac
done
[ ${#parts[@]} -gt 0 ] || parts=(writes failover transfer idle catch-up)

base=${DIR:-artifacts/bench}
mkdir -p "$base"
work=$(mktemp -d "$base/cluster-XXXXXX")
pids=()
stop_all() {
  for pid in "${pids[@]:-}"; do [ -n "$pid" ] && kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
  pids=()
}
cleanup() { stop_all; rm -rf "$work"; }
trap cleanup EXIT
trap 'exit 130' INT TERM
./kvasir --version >/dev/null   # builds, if need be, before anything is measured

free_row() {  # four ports in a row: below those that connections going out are given
  local port next
  while :; do
    port=$((20000 + RANDOM % 12000))
    for next in 0 1 2 3; do
      (exec 3<>"/dev/tcp/127.0.0.1/$((port + next))") 2>/dev/null && continue 2
    done
    echo "$port"; return
  done
}

await() {  # LOG PATTERN PID
  for _ in $(seq 600); do
    grep -q "$2" "$1" && return
    kill -0 "$3" 2>/dev/null || break
    sleep 0.1
  done
  echo "bench/cluster.sh: kvasir did not start:" >&2; cat "$1" >&2; exit 1
}

# One cell: prints "requests-a-second p50 p99".
cell() {
  redis-benchmark -h 127.0.0.1 -p "$1" -t set -c "$clients" -P "$2" -n "$3" -d "$value" -r "$keys" --csv 2>/dev/null \
    | tr -d '"' | awk -F, '$1 != "test" { print $2, $5, $7; exit }'
}

writes() {
  command -v redis-benchmark >/dev/null || { echo "bench/cluster.sh: redis-benchmark is missing; install Debian's package redis-tools" >&2; exit 2; }
  local row=$(free_row) up one round pipeline system count order results=$work/results
  ./kvasir up --nodes 3 --data "$work/three" --resp-port "$row" > "$work/three.log" 2>&1 &
  up=$!; pids+=("$up")
  ./kvasir server --data "$work/one" --resp "127.0.0.1:$((row + 3))" > "$work/one.log" 2>&1 &
  one=$!; pids+=("$one")
  await "$work/three.log" 'Ctrl-C stops' "$up"
  await "$work/one.log" 'serves RESP' "$one"
  : > "$results"
  for round in $(seq "$rounds"); do
    for pipeline in $pipelines; do
      count=$requests; [ "$pipeline" -gt 1 ] && count=$((requests * 4))
      # In turn, and who goes first changes from round to round.
      order="one three"; [ $((round % 2)) -eq 0 ] && order="three one"
      for system in $order; do
        local port=$row; [ "$system" = one ] && port=$((row + 3))
        echo "$pipeline $system $(cell "$port" "$pipeline" "$count")" >> "$results"
      done
      [ -t 2 ] && tail -n 2 "$results" | sed "s|^|round $round/$rounds  |" >&2
    done
  done
  stop_all
  awk -v out="$work/writes.json" '
    function median(list,   n, parts, i, j, t) {
      n = split(list, parts, " ")
      for (i = 2; i <= n; i++) { t = parts[i] + 0; for (j = i - 1; j > 0 && parts[j] + 0 > t; j--) parts[j + 1] = parts[j]; parts[j + 1] = t }
      return n % 2 ? parts[(n + 1) / 2] + 0 : (parts[n / 2] + parts[n / 2 + 1]) / 2
    }
    NF == 5 { if (!($1 in seen)) { seen[$1] = 1; order[++cells] = $1 } rate[$1, $2] = rate[$1, $2] " " $3; p99[$1, $2] = p99[$1, $2] " " $5 }
    NF != 5 { bad++ }
    END {
      printf "%8s %12s %14s %8s   %10s %12s\n", "pipeline", "one node/s", "three nodes/s", "ratio", "one p99", "three p99"
      printf "[" > out
      for (i = 1; i <= cells; i++) {
        p = order[i]; o = median(rate[p, "one"]); t = median(rate[p, "three"]); ratio = o > 0 ? t / o : 0
        printf "%8d %12.0f %14.0f %7.2fx   %7.2f ms %9.2f ms\n", p, o, t, ratio, median(p99[p, "one"]), median(p99[p, "three"])
        printf "%s{\"pipeline\":%d,\"one_per_second\":%.0f,\"three_per_second\":%.0f,\"ratio\":%.3f,\"one_p99_ms\":%.3f,\"three_p99_ms\":%.3f}", (i > 1 ? "," : ""), p, o, t, ratio, median(p99[p, "one"]), median(p99[p, "three"]) > out
      }
      print "]" > out
      if (bad) { print bad " measurements failed" > "/dev/stderr"; exit 1 }
    }' "$results"
}

# One part of kvasir bench cluster: its figures on a line each, and in a file.
measure() {  # PART FLAG...
  local part=$1; shift
  ./kvasir bench cluster --part "$part" --data "$work/nodes" --json "$@" > "$work/$part.json"
  tr -d '{}"' < "$work/$part.json" | tr ',' '\n' | awk -F: -v part="$part" '{ gsub(/_/, " ", $1); printf "%-9s %-48s %10.2f\n", part, $1, $2 }'
}

failover() { measure failover --rounds "$kills"; }
transfer() { measure transfer --rounds "$transfers"; }
idle() { measure idle --shards "$shards" --seconds "$idle_seconds"; }
catch-up() { measure catch-up --writes "$missed" --value "$missed_value"; }

for part in "${parts[@]}"; do "$part"; done
if [ -n "$json" ]; then
  {
    printf '{"clients":%d,"value_bytes":%d,"rounds":%d' "$clients" "$value" "$rounds"
    for part in writes failover transfer idle catch-up; do
      [ ! -f "$work/$part.json" ] || printf ',"%s":%s' "$part" "$(cat "$work/$part.json")"
    done
    echo '}'
  } > "$json"
fi
