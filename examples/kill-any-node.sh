#!/usr/bin/env bash
# Kill any node and watch: starts three nodes, counts in them without a pause, kills one of them with SIGKILL again and again, and
# says how long the count stood still. At the end the counter must be what was acknowledged, or more by what nobody knows of.
#
#   examples/kill-any-node.sh [ROUNDS] [RESP-PORT]      needs redis-cli
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5} port=${2:-6379}
data=$(mktemp -d "${TMPDIR:-/tmp}/kvasir-kill-XXXXXX")

: > "$data/up.out"
./kvasir up --nodes 3 --data "$data" --resp-port "$port" > "$data/up.out" 2> "$data/up.err" &
up=$!
others=()
stop() {
    local process
    for process in "$up" "${others[@]}"; do kill "$process" 2> /dev/null || true; done
    for process in "$up" "${others[@]}"; do while kill -0 "$process" 2> /dev/null; do sleep 0.1; done; done
    rm -rf "$data"
}
trap stop EXIT
until grep -q '^Ctrl-C' "$data/up.out"; do
    kill -0 "$up" 2> /dev/null || { cat "$data/up.err"; exit 1; }
    sleep 0.2
done
grep RESP "$data/up.out"

acknowledged=0 unknown=0 node=0
# One more, by whichever node answers. Only a number is a yes; what an error or silence leaves open is counted apart.
count() {
    local reply
    reply=$(timeout 3 redis-cli -p $((port + node)) INCR survivors 2>&1) || reply="no answer: $reply"
    case $reply in
        [0-9]*) acknowledged=$((acknowledged + 1)); return 0 ;;
        *"Connection refused"*) ;;
        TRYAGAIN* | CLUSTERDOWN* | NOTLEADER*) ;;
        *) unknown=$((unknown + 1)) ;;
    esac
    node=$(((node + 1) % 3))
    return 1
}
milliseconds() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

for ((round = 1; round <= rounds; round++)); do
    for ((i = 0; i < 100; i++)); do count || true; done
    victim=$((RANDOM % 3 + 1))
    process=$(cat "$data/node-$victim/kvasir.pid")
    kill -9 "$process"
    killed=$(milliseconds)
    until count; do :; done
    printf 'node-%d (process %d) was killed; the next count came %d ms later: %d so far\n' \
        "$victim" "$process" $(($(milliseconds) - killed)) "$acknowledged"
    for ((i = 0; i < 100; i++)); do count || true; done
    ./kvasir server --config "$data/node-$victim.conf" > /dev/null 2>> "$data/up.err" &
    others+=($!)
    disown $!   # else bash tells of its death in words of its own
    until ./kvasir status -p "$port" > /dev/null 2>&1; do sleep 0.2; done
done

until value=$(timeout 3 redis-cli -p "$port" GET survivors) && [[ $value =~ ^[0-9]+$ ]]; do sleep 0.1; done
echo "the counter is $value; $acknowledged were acknowledged, of $unknown nobody knows"
((value >= acknowledged && value <= acknowledged + unknown))
