#!/usr/bin/env bash
# Micro-benchmarks of single commands, from request bytes to reply bytes, and of messages between nodes beside bare sockets
# ('*Peer*'), with managed bytes allocated per operation (BenchmarkDotNet). Everything on a hot path shows "-" there.
#
#   bench/allocations.sh [ARGUMENTS OF BENCHMARKDOTNET]      for instance: --filter '*Get*'
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
[ $# -gt 0 ] || set -- --filter '*'
mkdir -p artifacts/bench
exec dotnet run --project bench/Kvasir.Benchmarks -c Release -- --artifacts artifacts/bench/BenchmarkDotNet "$@"
