#!/usr/bin/env bash
# A cluster of three Kvasir nodes beside one of three etcd members, on one machine in one run, cell by cell in turn.
#
#   bench/etcd.sh [--json FILE] [CELL...]     cells: write read (default: both)
#
# Both sync to disk before they acknowledge, and both read linearizably (a Range of etcd without options). One closed-loop
# load generator drives both: `kvasir bench server`, RESP to Kvasir, KV.Put and KV.Range in gRPC to etcd, one connection a
# client, clients spread over the three nodes. The column `client` is what of one core the generator itself used: a figure
# near 100 % would be the generator's and not the server's.
#
# Environment (defaults): ROUNDS=3 SECONDS_A_CELL=10 CLIENTS="1 16 256" VALUE=100 KEYS=100000; DIR: where data goes
#   (artifacts/bench); KVASIR_FLAGS: more flags for `kvasir up`; ETCD_FLAGS: for each member.
# Needs Debian's package etcd-server. Prints the median of the rounds; ratio = kvasir / etcd.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."

rounds=${ROUNDS:-3} seconds=${SECONDS_A_CELL:-10} clients=${CLIENTS:-1 16 256} value=${VALUE:-100} keys=${KEYS:-100000}
json= cells=()
while [ $# -gt 0 ]; do
  case $1 in
    --json) json=${2:?--json needs a file}; shift 2 ;;
    write|read) cells+=("$1"); shift ;;
    -h|--help) sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//'; exit 0 ;;
    *) echo "bench/etcd.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
  esac
done
[ ${#cells[@]} -gt 0 ] || cells=(write read)
command -v etcd >/dev/null || { echo "bench/etcd.sh: etcd is missing; install Debian's package etcd-server (sudo apt-get install etcd-server)" >&2; exit 2; }

base=${DIR:-artifacts/bench}
mkdir -p "$base"
work=$(mktemp -d "$base/etcd-XXXXXX")
pids=()
cleanup() {
  # All at once, and not patiently: a member of etcd that finds the others gone while it stops may never end.
  [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
  for pid in "${pids[@]}"; do
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
  done
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

# Three ports in a row, as `up` takes them.
free_row() {
  local port
  while :; do
    port=$(free_port)
    for next in $((port + 1)) $((port + 2)); do
      (exec 3<>"/dev/tcp/127.0.0.1/$next") 2>/dev/null && continue 2
    done
    echo "$port"; return
  done
}

load() {  # PROTOCOL ENDPOINTS FLAGS...
  local protocol=$1 endpoints=$2
  shift 2
  ./kvasir bench server --json --protocol "$protocol" --endpoints "$endpoints" --keys "$keys" --value-size "$value" "$@"
}

client=() peer=()
for _ in 1 2 3; do client+=("$(free_port)"); peer+=("$(free_port)"); done
members=
for i in 0 1 2; do members+="${members:+,}m$i=http://127.0.0.1:${peer[i]}"; done
for i in 0 1 2; do
  # shellcheck disable=SC2086
  etcd --name "m$i" --data-dir "$work/m$i" --log-level error --logger zap \
    --listen-client-urls "http://127.0.0.1:${client[i]}" --advertise-client-urls "http://127.0.0.1:${client[i]}" \
    --listen-peer-urls "http://127.0.0.1:${peer[i]}" --initial-advertise-peer-urls "http://127.0.0.1:${peer[i]}" \
    --initial-cluster "$members" --initial-cluster-state new --initial-cluster-token "kvasir-bench-$$" \
    --quota-backend-bytes 8589934592 ${ETCD_FLAGS:-} > "$work/m$i.log" 2>&1 &
  pids+=("$!")
done
etcd_at=127.0.0.1:${client[0]},127.0.0.1:${client[1]},127.0.0.1:${client[2]}

row=$(free_row)
# shellcheck disable=SC2086
./kvasir up --nodes 3 --data "$work/kvasir" --resp-port "$row" ${KVASIR_FLAGS:-} > "$work/kvasir.log" 2>&1 &
up=$!; pids+=("$up")
kvasir_at=127.0.0.1:$row,127.0.0.1:$((row + 1)),127.0.0.1:$((row + 2))

for _ in $(seq 600); do
  grep -q 'Ctrl-C stops' "$work/kvasir.log" && break
  kill -0 "$up" 2>/dev/null || { echo "bench/etcd.sh: kvasir did not start:" >&2; cat "$work/kvasir.log" >&2; exit 1; }
  sleep 0.1
done
for _ in $(seq 100); do
  load etcd "$etcd_at" --workload set --requests 3 --clients 3 > /dev/null 2>&1 && ready=1 && break
  sleep 0.2
done
[ -n "${ready:-}" ] || { echo "bench/etcd.sh: etcd did not start:" >&2; cat "$work"/m?.log >&2; exit 1; }

# Reads must not be reads of nothing.
load etcd "$etcd_at" --workload get --load --clients 64 --requests 1 > /dev/null
load resp "$kvasir_at" --workload get --load --clients 64 --requests 1 > /dev/null

# One cell: prints "requests-a-second p50-us p99-us errors client-percent".
cell() {
  local protocol=$1 endpoints=$2 workload=$3 count=$4 out=$work/cell.json spent=$work/cell.time
  TIMEFORMAT='%U %S'
  { time load "$protocol" "$endpoints" --workload "$workload" --clients "$count" --duration "$seconds" > "$out" 2> "$work/cell.err"; } 2> "$spent" || true
  awk -v seconds="$seconds" '
    FNR == NR { used = $1 + $2; next }
    { gsub(/[",]/, "") }
    $1 == "requests_per_second:" { rate = $2 } $1 == "errors:" { errors = $2 } $1 == "p50_us:" { p50 = $2 } $1 == "p99_us:" { p99 = $2 }
    END { if (rate != "") print rate, p50, p99, errors, 100 * used / seconds }' "$spent" "$out"
}

results=$work/results
: > "$results"
for round in $(seq "$rounds"); do
  for kind in "${cells[@]}"; do
    workload=set; [ "$kind" = read ] && workload=get
    for count in $clients; do
      # In turn, and who goes first changes from round to round.
      order="etcd kvasir"
      [ $((round % 2)) -eq 0 ] && order="kvasir etcd"
      for system in $order; do
        if [ "$system" = etcd ]; then figures=$(cell etcd "$etcd_at" "$workload" "$count"); else figures=$(cell resp "$kvasir_at" "$workload" "$count"); fi
        echo "$kind $count $system $figures" >> "$results"
      done
      [ -t 2 ] && tail -n 2 "$results" | sed "s|^|round $round/$rounds  |" >&2
    done
  done
done

# Median over the rounds of each cell and system, then one line a cell.
awk -v json="$json" -v value="$value" -v keys="$keys" -v rounds="$rounds" -v seconds="$seconds" '
  function median(list,   n, parts, i, j, t) {
    n = split(list, parts, " ")
    for (i = 2; i <= n; i++) { t = parts[i] + 0; for (j = i - 1; j > 0 && parts[j] + 0 > t; j--) parts[j + 1] = parts[j]; parts[j + 1] = t }
    return n % 2 ? parts[(n + 1) / 2] + 0 : (parts[n / 2] + parts[n / 2 + 1]) / 2
  }
  NF == 8 {
    cell = $1 " " $2
    if (!(cell in seen)) { seen[cell] = 1; order[++cells] = cell }
    rate[cell, $3] = rate[cell, $3] " " $4; p50[cell, $3] = p50[cell, $3] " " $5; p99[cell, $3] = p99[cell, $3] " " $6
    errors += $7; spent[cell, $3] = spent[cell, $3] " " $8
  }
  NF != 8 { bad++ }
  END {
    printf "%-6s %7s %12s %12s %8s   %10s %10s   %s\n", "cell", "clients", "etcd/s", "kvasir/s", "ratio", "etcd p99", "ours p99", "client (etcd, ours)"
    if (json) printf "{\"value_bytes\":%d,\"keys\":%d,\"rounds\":%d,\"seconds\":%d,\"cells\":[", value, keys, rounds, seconds > json
    for (i = 1; i <= cells; i++) {
      c = order[i]; split(c, w, " ")
      e = median(rate[c, "etcd"]); k = median(rate[c, "kvasir"]); ratio = e > 0 ? k / e : 0
      printf "%-6s %7d %12.0f %12.0f %7.2fx   %7.2f ms %7.2f ms   %.0f %%, %.0f %%\n", w[1], w[2], e, k, ratio, median(p99[c, "etcd"]) / 1000, median(p99[c, "kvasir"]) / 1000, median(spent[c, "etcd"]), median(spent[c, "kvasir"])
      if (json) printf "%s{\"cell\":\"%s\",\"clients\":%d,\"etcd_per_second\":%.0f,\"kvasir_per_second\":%.0f,\"ratio\":%.3f,\"etcd_p50_ms\":%.3f,\"kvasir_p50_ms\":%.3f,\"etcd_p99_ms\":%.3f,\"kvasir_p99_ms\":%.3f,\"etcd_client_percent\":%.0f,\"kvasir_client_percent\":%.0f}", \
        (i > 1 ? "," : ""), w[1], w[2], e, k, ratio, median(p50[c, "etcd"]) / 1000, median(p50[c, "kvasir"]) / 1000, median(p99[c, "etcd"]) / 1000, median(p99[c, "kvasir"]) / 1000, median(spent[c, "etcd"]), median(spent[c, "kvasir"]) > json
    }
    if (json) print "]}" > json
    if (errors) print errors " requests were refused" > "/dev/stderr"
    if (bad) print bad " measurements failed" > "/dev/stderr"
    if (bad || errors) exit 1
  }' "$results"
