#!/usr/bin/env bash
# What a program with an embedded store comes to: the URL shortener (samples/UrlShortener), published as one file, trimmed and compiled
# ahead of time.
#
#   bench/sample.sh
#
# Prints the file's size, that of all that was published, the time from its start until it has answered its first request (of ROUNDS=20
# starts, each with a folder that has LINKS=1000 links in it), and the memory that it takes then. Nothing of the runtime need be installed
# for it. Needs curl.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
case ${1:-} in
  '') ;;
  -h|--help) sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//'; exit 0 ;;
  *) echo "bench/sample.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
esac
rounds=${ROUNDS:-20} links=${LINKS:-1000}
base=${DIR:-artifacts/bench}
mkdir -p "$base"
work=$(mktemp -d "$base/sample-XXXXXX")
pid=
cleanup() {
  [ -z "$pid" ] || { kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; } || true
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

dotnet publish samples/UrlShortener -c Release --use-current-runtime -o "$work/published" --disable-build-servers -v quiet > "$work/log" 2>&1 < /dev/null \
  || { cat "$work/log" >&2; exit 1; }
program=$work/published/Kvasir.Samples.UrlShortener

# Until it says where it listens; what it says after that is read, and thrown away: a full pipe would hold it up.
start() {
  local line
  exec 3< <(exec "$program" --data "$work/links" --urls http://127.0.0.1:0 2>&1)
  pid=$!
  while IFS= read -r line <&3; do
    [[ $line =~ http://127.0.0.1:([0-9]+) ]] && { port=${BASH_REMATCH[1]}; cat <&3 > /dev/null & return; }
  done
  echo "bench/sample.sh: it ended before it listened" >&2
  exit 1
}

stop() {
  kill "$pid"
  wait "$pid" || true
  exec 3<&-
  pid=
}

# A page that is not there: answered by the store.
ask() {
  local status
  exec 4<> "/dev/tcp/127.0.0.1/$port"
  printf 'GET /none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&4
  IFS= read -r status <&4
  exec 4>&-
  [[ $status == *" 404 "* ]] || { echo "bench/sample.sh: it answered $status" >&2; exit 1; }
}

start
seq "$links" | xargs -P 4 -I{} curl -sf -o /dev/null -d "https://example.org/page/{}" "http://127.0.0.1:$port/"
stop

times=()
for _ in $(seq "$rounds"); do
  begun=${EPOCHREALTIME/[.,]/}
  start
  ask
  times+=($((${EPOCHREALTIME/[.,]/} - begun)))
  memory=$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")
  stop
done

sorted=($(printf '%s\n' "${times[@]}" | sort -n))
mebi() { awk -v bytes="$1" 'BEGIN { printf "%.1f MiB", bytes / 1048576 }'; }
milli() { awk -v us="$1" 'BEGIN { printf "%.0f ms", us / 1000 }'; }
printf '%-28s %s\n' \
  "the program, one file" "$(mebi "$(stat -c %s "$program")")" \
  "all that was published" "$(mebi "$(du -sb "$work/published" | cut -f 1)") in $(find "$work/published" -type f | wc -l) files" \
  "first answer after" "$(milli "${sorted[$((rounds / 2))]}") in the median of $rounds starts, $(milli "${sorted[0]}") to $(milli "${sorted[$((rounds - 1))]}")" \
  "resident memory then" "$(mebi $((memory * 1024)))"
