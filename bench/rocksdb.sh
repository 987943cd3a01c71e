#!/usr/bin/env bash
# Kvasir's engine beside RocksDB, each by its own load generator with the same workloads, sizes and memory, in one run.
#
#   bench/rocksdb.sh [--json FILE] [WORKLOAD...]
#
# Workloads (default: all, in this order): fillseq fillrandom overwrite readrandom readmissing seekrandom
#   readwhilewriting deleterandom sync1 sync8 sync64. The reads run on what fillrandom and overwrite left; syncN is
#   fillrandom with N threads, every write synced.
# RocksDB: Debian's db_bench with a 64 MiB write buffer, 10 filter bits a key, 4 KiB blocks, two background jobs,
#   checksums verified, its log on, compression as is its default (snappy).
# Kvasir: `kvasir bench engine`: journal and LSM engine, 64 MiB memtables, the same cache.
# After each writing workload both flush and wait for compaction (not measured), so that bytes written and bytes on
# disk are of the same work. Write amplification: bytes of flushes and compactions for each byte of keys and values.
#
# Environment (defaults): KEYS=5000000 VALUE=100 CACHE_MIB=1024 THREADS=1 READS=2000000 SYNC_WRITES=20000 (all
#   threads together) SEED=1 ROUNDS=1 DIR=artifacts/bench
# Needs Debian's package rocksdb-tools. ratio = kvasir / rocksdb.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."

keys=${KEYS:-5000000} value=${VALUE:-100} cache=${CACHE_MIB:-1024} threads=${THREADS:-1} reads=${READS:-2000000}
sync_writes=${SYNC_WRITES:-20000} seed=${SEED:-1} rounds=${ROUNDS:-1}
json= workloads=()
while [ $# -gt 0 ]; do
  case $1 in
    --json) json=${2:?--json needs a file}; shift 2 ;;
    fillseq|fillrandom|overwrite|readrandom|readmissing|seekrandom|readwhilewriting|deleterandom|sync1|sync8|sync64) workloads+=("$1"); shift ;;
    -h|--help) sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//'; exit 0 ;;
    *) echo "bench/rocksdb.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
  esac
done
[ ${#workloads[@]} -gt 0 ] || workloads=(fillseq fillrandom overwrite readrandom readmissing seekrandom readwhilewriting deleterandom sync1 sync8 sync64)
command -v db_bench >/dev/null || { echo "bench/rocksdb.sh: db_bench is missing; install Debian's package rocksdb-tools" >&2; exit 2; }

base=${DIR:-artifacts/bench}
mkdir -p "$base"
work=$(mktemp -d "$base/rocksdb-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
./kvasir --version >/dev/null   # builds, if need be, before anything is measured

# What lies on the disk after the program has ended: tables, and everything, logs included, in blocks that are in use.
tables() { find "$1" -name '*.sst' -printf '%s\n' | awk '{ s += $1 } END { print s + 0 }'; }
total() { find "$1" -type f -printf '%b\n' | awk '{ s += $1 * 512 } END { print s + 0 }'; }

# Each prints: operations-a-second user-bytes written-bytes table-bytes folder-bytes peak-memory-bytes
rocksdb() {
  local name=$1 folder=$2 fresh=$3; shift 3
  local out=$work/rocksdb.out after= draw=$seed
  # With one seed db_bench would read and delete the very keys it wrote, in the same order; kvasir draws anew for
  # each workload, so db_bench is given a seed for each, too.
  case $name in overwrite) draw=$((seed + 1)) ;; read*|seek*) draw=$((seed + 2)) ;; delete*) draw=$((seed + 3)) ;; esac
  case $name in fill*|overwrite|deleterandom|readwhilewriting) after=,flush,waitforcompaction,stats ;; esac
  db_bench --benchmarks="$name$after" --db="$folder" --use_existing_db="$((1 - fresh))" --num="$keys" --key_size=16 \
    --value_size="$value" --compression_ratio=0.5 --write_buffer_size=$((64 << 20)) --bloom_bits=10 --block_size=4096 \
    --max_background_jobs=2 --verify_checksum=1 --cache_size=$((cache << 20)) --seed="$draw" "$@" > "$out" 2> "$work/rocksdb.err" &
  local pid=$! peak=0 now
  # db_bench does not tell its own memory; what the system saw last before it ended is near enough.
  while kill -0 "$pid" 2>/dev/null; do
    now=$(awk '/^VmHWM/ { print $2 * 1024 }' "/proc/$pid/status" 2>/dev/null || true)
    [ -n "$now" ] && peak=$now
    sleep 0.2
  done
  wait "$pid" || { cat "$work/rocksdb.err" >&2; exit 1; }
  awk -v name="$name" -v entry=$((16 + value)) -v tables="$(tables "$folder")" -v total="$(total "$folder")" -v peak="$peak" '
    $1 == name && $4 == "micros/op" { rate = $5; for (i = 6; i < NF; i++) if ($(i + 1) ~ /^operations/) operations = $i }
    /^Cumulative compaction:/ { unit = $4 == "TB" ? 1099511627776 : $4 == "GB" ? 1073741824 : 1048576; written = $3 * unit }
    END { printf "%.1f %.0f %.0f %.0f %.0f %.0f\n", rate, operations * entry, written, tables, total, peak }' "$out"
}

kvasir() {
  local name=$1 folder=$2 fresh=$3; shift 3
  local existing=() settle=()
  [ "$fresh" -eq 1 ] || existing=(--use-existing)
  case $name in fill*|overwrite|deleterandom|readwhilewriting) settle=(--settle) ;; esac
  ./kvasir bench engine --engine lsm --workload "$name" --dir "$folder" "${existing[@]}" "${settle[@]}" --keys "$keys" \
    --key-size 16 --value-size "$value" --cache-mib "$cache" --seed "$seed" --json "$@" > "$work/kvasir.out" 2> "$work/kvasir.err" \
    || { cat "$work/kvasir.err" >&2; exit 1; }
  awk -F'[:,]' -v tables="$(tables "$folder")" -v total="$(total "$folder")" '
    { gsub(/[" ]/, "", $1) }
    $1 == "operations_per_second" { rate = $2 } $1 == "user_bytes" { user = $2 } $1 == "flush_bytes" { flush = $2 }
    $1 == "compaction_bytes" { compaction = $2 }
    $1 == "peak_memory_bytes" { peak = $2 }
    END { printf "%.1f %.0f %.0f %.0f %.0f %.0f\n", rate, user, flush + compaction, tables, total, peak }' "$work/kvasir.out"
}

both() {
  local label=$1 name=$2 kind=$3; shift 3
  local system fresh=0 order=("rocksdb" "kvasir")
  [ "$kind" = fresh ] && fresh=1
  [ $((round % 2)) -eq 0 ] && order=("kvasir" "rocksdb")
  for system in "${order[@]}"; do
    local folder=$work/$system flags=() line
    [ "$kind" = fresh ] && rm -rf "$folder"
    if [ "$system" = rocksdb ]; then
      for flag in "$@"; do case $flag in
        threads=*) flags+=("--threads=${flag#*=}") ;;
        reads=*) flags+=("--reads=${flag#*=}") ;;
        writes=*) flags+=("--writes=${flag#*=}") ;;
        sync) flags+=(--sync=1) ;;
      esac; done
    else
      for flag in "$@"; do case $flag in
        threads=*) flags+=(--threads "${flag#*=}") ;;
        reads=*) flags+=(--reads "${flag#*=}") ;;
        writes=*) flags+=(--writes "${flag#*=}") ;;
        sync) flags+=(--sync) ;;
      esac; done
    fi
    [ -t 2 ] && echo "round $round/$rounds: $label on $system ..." >&2
    line=$("$system" "$name" "$folder" "$fresh" "${flags[@]}")
    echo "$label $system $line" >> "$work/results"
  done
}

: > "$work/results"
for round in $(seq "$rounds"); do
  rm -rf "$work/rocksdb" "$work/kvasir"
  filled=
  for workload in "${workloads[@]}"; do
    case $workload in
      readrandom|readmissing|seekrandom|readwhilewriting|overwrite|deleterandom)
        # A list that begins with a read still needs data.
        [ -n "$filled" ] || { both fillrandom fillrandom fresh "threads=1"; filled=1; } ;;
    esac
    case $workload in
      fillseq) both fillseq fillseq fresh threads=1; filled= ;;
      fillrandom) both fillrandom fillrandom fresh "threads=$threads"; filled=1 ;;
      overwrite|deleterandom) both "$workload" "$workload" existing "threads=$threads" ;;
      sync*) n=${workload#sync}; both "$workload" fillrandom fresh "threads=$n" "writes=$((sync_writes / n))" sync; filled= ;;
      *) both "$workload" "$workload" existing "threads=$threads" "reads=$reads" ;;
    esac
  done
done

awk -v json="$json" -v keys="$keys" -v value="$value" -v cache="$cache" '
  function median(list,   n, parts, i, j, t) {
    n = split(list, parts, " ")
    for (i = 2; i <= n; i++) { t = parts[i] + 0; for (j = i - 1; j > 0 && parts[j] + 0 > t; j--) parts[j + 1] = parts[j]; parts[j + 1] = t }
    return n % 2 ? parts[(n + 1) / 2] + 0 : (parts[n / 2] + parts[n / 2 + 1]) / 2
  }
  function amplification(c, s) { u = median(user[c, s]); return u > 0 ? median(written[c, s]) / u : 0 }
  {
    if (!($1 in seen)) { seen[$1] = 1; order[++cells] = $1 }
    rate[$1, $2] = rate[$1, $2] " " $3; user[$1, $2] = user[$1, $2] " " $4; written[$1, $2] = written[$1, $2] " " $5
    tables[$1, $2] = tables[$1, $2] " " $6; total[$1, $2] = total[$1, $2] " " $7; peak[$1, $2] = peak[$1, $2] " " $8
  }
  END {
    printf "%-17s %11s %11s %7s   %13s   %15s   %15s   %15s\n", "workload", "rocksdb/s", "kvasir/s", "ratio", "write ampl.", "tables MiB", "folder MiB", "peak memory MiB"
    if (json) printf "{\"keys\":%d,\"value_bytes\":%d,\"cache_mib\":%d,\"cells\":[", keys, value, cache > json
    for (i = 1; i <= cells; i++) {
      c = order[i]; r = median(rate[c, "rocksdb"]); k = median(rate[c, "kvasir"]); ratio = r > 0 ? k / r : 0
      writes = c ~ /^(fill|overwrite)/
      ampl = writes ? sprintf("%.2f / %.2f", amplification(c, "rocksdb"), amplification(c, "kvasir")) : ""
      printf "%-17s %11.0f %11.0f %6.2fx   %13s   %7.0f %7.0f   %7.0f %7.0f   %7.0f %7.0f\n", c, r, k, ratio, ampl, \
        median(tables[c, "rocksdb"]) / 1048576, median(tables[c, "kvasir"]) / 1048576, median(total[c, "rocksdb"]) / 1048576, median(total[c, "kvasir"]) / 1048576, median(peak[c, "rocksdb"]) / 1048576, median(peak[c, "kvasir"]) / 1048576
      if (json) {
        printf "%s{\"workload\":\"%s\",\"ratio\":%.3f", (i > 1 ? "," : ""), c, ratio > json
        for (j = 1; j <= 2; j++) {
          s = j == 1 ? "rocksdb" : "kvasir"
          printf ",\"%s\":{\"per_second\":%.1f,\"user_bytes\":%.0f,\"written_bytes\":%.0f,\"write_amplification\":%.3f,\"table_bytes\":%.0f,\"folder_bytes\":%.0f,\"peak_memory_bytes\":%.0f}", \
            s, median(rate[c, s]), median(user[c, s]), median(written[c, s]), amplification(c, s), median(tables[c, s]), median(total[c, s]), median(peak[c, s]) > json
        }
        printf "}" > json
      }
    }
    if (json) print "]}" > json
    print "(pairs: rocksdb, kvasir)"
  }' "$work/results"
