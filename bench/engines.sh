#!/usr/bin/env bash
# Kvasir's three engines beside their closest relatives, in one run: the B+tree beside LMDB and bbolt, the hash log beside
# Microsoft.FASTER.Core and beside the LSM engine; memory of the log for each key; how soon each engine is open again.
#
#   bench/engines.sh [--json FILE] [PART...]
#
# Parts (default: all, in this order; about 20 minutes on two cores):
#   tree      1 million keys, loaded far from each other: gets, scan, batches of 1,000 puts, single puts, 64 writers at once
#   tree10    10 million keys, loaded in order: the same
#   hash      1 million keys, all records in memory: upserts and reads from 1 and 2 threads
#   hash10    10 million keys, records of 1.3 GB in 512 MiB of memory: the same
#   journal   the log beside the LSM engine with a journal before them, as stores and servers have them (kvasir bench engine)
#   recovery  10 million keys: all three engines opened after a clean stop, and after SIGKILL in the midst of writes
#   opening   a B+tree file of 10 GB, opened after SIGKILL in the midst of commits
#
# Keys of 16 bytes, values of 100. Trees: every commit is on stable storage before it returns, in all of them. LMDB, from
#   Debian's liblmdb-dev, by a program of C: appends where keys come in order, renews its read transactions. bbolt, from
#   golang-github-coreos-bbolt-dev, where that is installed: fills pages where keys come in order, batches of as many as write.
#   `mapped` and `positional` are Kvasir's tree by itself with either kind of reads (1 GiB of cache for the latter); `store` is an
#   ordered store on it: a journal and memtables before the tree. `get` reads in one transaction, `get_txn` in one for each;
#   `group` is 64 writers of single durable puts by their system's means for many of them: tasks that await BatchAsync, goroutines in
#   bbolt's db.Batch, threads in LMDB, which has no commit for several; `group_near` the same with keys side by side, which share pages.
#   `group_threads` is 64 threads (Batch, or an ordered store's Put) beside the peers' `group`. NAME_by_single: how many times the `single`
#   of the same column. NAME_first is the first run, which meets untouched pages and code; NAME the median of three after it.
# Hashes: engines without a journal, as FASTER has none; the same memory for records, the index on top. FASTER has many
#   reads of the disk under way at once; both write their logs in the background. Every round of `overwrite` and `read` draws other keys;
#   the rounds of `overwrite_again` and `read_again` all have those of the last overwrite, which are in memory and fit it. `log` and `lsm` are given one upsert at a time, as
#   FASTER is, their threads in turn; `log64` and `lsm64` 64 together, as servers give them what pipelines and the log bring.
#
# Environment (defaults): SCALE=1 (of keys, operations and the file's size) DIR=artifacts/bench
# Needs gcc and liblmdb-dev for trees. Ratios above 1: Kvasir is faster.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."

scale=${SCALE:-1}
json= parts=()
while [ $# -gt 0 ]; do
  case $1 in
    --json) json=${2:?--json needs a file}; shift 2 ;;
    tree|tree10|hash|hash10|journal|recovery|opening) parts+=("$1"); shift ;;
    -h|--help) sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//'; exit 0 ;;
    *) echo "bench/engines.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
  esac
done
[ ${#parts[@]} -gt 0 ] || parts=(tree tree10 hash hash10 journal recovery opening)
has() { local part; for part in "${parts[@]}"; do [ "$part" = "$1" ] && return 0; done; return 1; }
scaled() { awk -v n="$1" -v s="$scale" 'BEGIN { v = int(n * s); print v < 1 ? 1 : v }'; }

base=${DIR:-artifacts/bench}
mkdir -p "$base"
work=$(cd "$(mktemp -d "$base/engines-XXXXXX")" && pwd)
child=
trap '[ -z "$child" ] || kill -9 "$child" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
: > "$work/results"

# Everything is built before anything is measured.
trees=(lmdb mapped positional store)
if has tree || has tree10; then
  [ -e /usr/include/lmdb.h ] && command -v gcc >/dev/null || { echo "bench/engines.sh: trees need gcc and Debian's package liblmdb-dev" >&2; exit 2; }
  gcc -O2 -o "$work/lmdb" bench/peers/lmdb.c -llmdb -lpthread
  if [ -d /usr/share/gocode/src/go.etcd.io/bbolt ] && command -v go >/dev/null; then
    GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=$work/go go build -o "$work/bbolt" bench/peers/bbolt.go
    trees=(lmdb bbolt mapped positional store)
  else
    echo "bbolt is left out: it needs Debian's packages golang-go and golang-github-coreos-bbolt-dev" >&2
  fi
fi
./kvasir --version >/dev/null
dotnet build bench/Kvasir.Benchmarks -c Release -v quiet --nologo >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; exit 2; }
benchmarks() { dotnet artifacts/bin/Kvasir.Benchmarks/release/Kvasir.Benchmarks.dll "$@"; }

# Records PART SYSTEM from lines of a cell's name and a number.
record() { awk -v part="$1" -v who="$2" 'NF == 2 { print part, $1, who, $2 }' >> "$work/results"; }
say() { [ ! -t 2 ] || echo "$*" >&2; }
fresh() { rm -rf "$work/data"; mkdir -p "$work/data"; }
field() { awk -F'[:,]' -v name="$1" '{ gsub(/[" ]/, "", $1) } $1 == name { print $2 + 0 }'; }

trees() {
  local part=$1 keys order=$3 system reads batches singles each
  keys=$(scaled "$2") reads=$(scaled 1000000) batches=$(scaled 100) singles=$(scaled 1000) each=$(scaled 100)
  for system in "${trees[@]}"; do
    say "$part: $system ..."
    fresh
    local flags=(--dir "$work/data" --keys "$keys" --reads "$reads" --order "$order" --batches "$batches" --singles "$singles" --writers 64 --each "$each")
    case $system in
      lmdb|bbolt) "$work/$system" "$work/data" "$keys" "$reads" "$order" "$batches" "$singles" 64 "$each" ;;
      mapped|positional) benchmarks tree --pages "$system" "${flags[@]}" ;;
      store) benchmarks store --engine btree "${flags[@]}" ;;
    esac > "$work/out"
    # Peers have one form only.
    awk 'NF == 2 { print; cell[$1] = $2 }
      function by_single(name) { if (name in cell && cell["single"] > 0) print name "_by_single", cell[name] / cell["single"] }
      END {
        if (!("group_threads" in cell)) { cell["group_threads"] = cell["group"]; print "group_threads", cell["group"] }
        by_single("group"); by_single("group_near"); by_single("group_threads")
      }' "$work/out" | record "$part" "$system"
  done
}

hashes() {
  local part=$1 keys operations threads system
  keys=$(scaled "$2") operations=$(scaled 1000000)
  for threads in 1 2; do
    for system in faster log lsm log64 lsm64; do
      say "$part: $system, $threads threads ..."
      fresh
      local together=1
      [ "$system" = "${system%64}" ] || together=64
      benchmarks hash --subject "${system%64}" --together "$together" --dir "$work/data" --keys "$keys" --operations "$operations" --threads "$threads" --memory-mib "$3" > "$work/out"
      record "$part-$threads" "$system" < "$work/out"
    done
  done
}

engine() { ./kvasir bench engine --json --seed 1 "$@"; }

# What one engine alone may be told: the keys of this script fit its index.
index() { [ "$1" != log ] || echo "--index-mib $(( 16 + $2 / 20000 ))"; }

journal() {
  local keys system workload
  keys=$(scaled 5000000)
  for system in log lsm; do
    fresh
    for workload in fillrandom overwrite readrandom; do
      say "journal: $workload on $system ..."
      local existing=(--use-existing --settle)
      case $workload in fillrandom) existing=(--settle) ;; readrandom) existing=(--use-existing) ;; esac
      # shellcheck disable=SC2046
      engine --engine "$system" $(index "$system" "$keys") --workload "$workload" --keys "$keys" --reads "$(scaled 2000000)" --cache-mib 1024 \
        --dir "$work/data" "${existing[@]}" > "$work/out"
      echo "$workload $(field operations_per_second < "$work/out")" | record journal "$system"
      echo "${workload}_managed_bytes_each $(field allocated_per_operation < "$work/out")" | record journal "$system"
      echo "${workload}_peak_mib $(field peak_memory_bytes < "$work/out" | awk '{ print $1 / 1048576 }')" | record journal "$system"
    done
    if [ "$system" = log ]; then
      echo "index_bytes_a_key $(awk -F'[:,]' '{ gsub(/[" ]/, "", $1) } $1 == "index_bytes" { b = $2 } $1 == "estimated_keys" { k = $2 } END { print b / k }' "$work/out")" | record journal log
    fi
  done
}

# A process that opens the store and reads one key: how long the opening took in it, and all of it from its start to its end.
reopen() {
  local system=$1 keys=$2 what=$3 begun
  begun=${EPOCHREALTIME/[.,]/}
  # shellcheck disable=SC2046
  engine --engine "$system" $(index "$system" "$keys") --workload readrandom --keys "$keys" --reads 1 --use-existing --dir "$work/data" > "$work/out"
  echo "${what}_open_s $(field open_seconds < "$work/out")" | record recovery "$system"
  echo "${what}_process_s $(( (${EPOCHREALTIME/[.,]/} - begun) / 1000 ))e-3" | record recovery "$system"
}

recovery() {
  local keys system
  keys=$(scaled 10000000)
  for system in lsm log btree; do
    say "recovery: $system ..."
    fresh
    # shellcheck disable=SC2046
    engine --engine "$system" $(index "$system" "$keys") --workload fillseq --keys "$keys" --batch 100 --dir "$work/data" > "$work/out"
    reopen "$system" "$keys" clean
    # shellcheck disable=SC2046
    ./kvasir bench engine --engine "$system" $(index "$system" "$keys") --workload overwrite --keys "$keys" --duration 600 --use-existing --dir "$work/data" > /dev/null 2>&1 &
    child=$!
    sleep 6
    kill -9 "$child"
    wait "$child" 2>/dev/null || true
    child=
    reopen "$system" "$keys" killed
  done
}

opening() {
  say "opening: filling ..."
  fresh
  : > "$work/filled"
  dotnet artifacts/bin/Kvasir.Benchmarks/release/Kvasir.Benchmarks.dll opening --step fill --dir "$work/data" --file-mib "$(scaled 10240)" > "$work/filled" &
  child=$!
  until grep -q filled_mib "$work/filled"; do
    kill -0 "$child" 2>/dev/null || { echo "bench/engines.sh: the filling ended early" >&2; exit 1; }
    sleep 0.5
  done
  kill -9 "$child"
  wait "$child" 2>/dev/null || true
  child=
  benchmarks opening --step open --dir "$work/data" | record opening killed
  if sync && echo 3 2>/dev/null > /proc/sys/vm/drop_caches; then
    benchmarks opening --step open --dir "$work/data" | record opening cold
  fi
}

for part in "${parts[@]}"; do
  case $part in
    tree) trees tree 1000000 scattered ;;
    tree10) trees tree10 10000000 sorted ;;
    hash) hashes hash 1000000 1024 ;;
    hash10) hashes hash10 10000000 512 ;;
    *) "$part" ;;
  esac
done

awk -v json="$json" -v scale="$scale" '
  function number(v) { return v == "" ? "" : v >= 1000 ? sprintf("%.0f", v) : v >= 10 ? sprintf("%.1f", v) : sprintf("%.3f", v) }
  function rate(cell) { return cell !~ /(_mib|_ms|_s|_each|_a_key|_by_single)$/ && cell != "depth" }
  {
    if (!(($1, $3) in known)) { known[$1, $3] = 1; systems[$1] = systems[$1] (systems[$1] == "" ? "" : " ") $3 }
    if (!(($1, $2) in cell)) { cell[$1, $2] = 1; cells[$1] = cells[$1] (cells[$1] == "" ? "" : " ") $2 }
    if (!($1 in part)) { part[$1] = 1; order[++parts] = $1 }
    value[$1, $2, $3] = $4
  }
  # The ratios of a part: pairs of ours and a peer.
  function pairs(p) {
    if (p ~ /^tree/) return "mapped/lmdb positional/lmdb store/lmdb mapped/bbolt"
    if (p ~ /^hash/) return "log/faster log/lsm log64/faster log64/lsm64"
    if (p == "journal") return "log/lsm"
    return ""
  }
  END {
    for (i = 1; i <= parts; i++) {
      p = order[i]; n = split(systems[p], s, " "); m = split(cells[p], c, " "); asked = split(pairs(p), r, " "); k = 0
      for (j = 1; j <= asked; j++) { split(r[j], pair, "/"); if (((p, pair[1]) in known) && ((p, pair[2]) in known)) ratio[++k] = r[j] }
      printf "\n%s%s\n\n| cell |", p, (scale == 1 ? "" : " at a scale of " scale)
      for (j = 1; j <= n; j++) printf " %s |", s[j]
      for (j = 1; j <= k; j++) printf " %s |", ratio[j]
      printf "\n| --- |"; for (j = 1; j <= n + k; j++) printf " ---: |"; print ""
      for (l = 1; l <= m; l++) {
        printf "| %s |", c[l]
        for (j = 1; j <= n; j++) printf " %s |", number(value[p, c[l], s[j]])
        for (j = 1; j <= k; j++) {
          split(ratio[j], pair, "/"); a = value[p, c[l], pair[1]]; b = value[p, c[l], pair[2]]
          printf " %s |", ((rate(c[l]) && a != "" && b + 0 != 0) ? sprintf("%.2f", a / b) : "")
        }
        print ""
      }
    }
    if (!json) exit
    printf "[" > json
    for (i = 1; i <= parts; i++) {
      p = order[i]; n = split(systems[p], s, " "); m = split(cells[p], c, " ")
      for (l = 1; l <= m; l++) for (j = 1; j <= n; j++) if (value[p, c[l], s[j]] != "")
        printf "%s{\"part\":\"%s\",\"cell\":\"%s\",\"system\":\"%s\",\"value\":%s}", (any++ ? ",\n" : "\n"), p, c[l], s[j], value[p, c[l], s[j]] > json
    }
    print "\n]" > json
  }' "$work/results"
