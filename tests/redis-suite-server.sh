#!/usr/bin/env bash
# What Redis's suite takes for redis-server when it starts servers of its own: translates the redis.conf that the suite wrote
# (its path is the first argument; --name value pairs may follow) to options of Kvasir, and says what the suite waits for.
set -u

# Options of the shell that runs the suite are none of the suite's.
unset ${!KVASIR_@}
here=$(cd -P "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
conf=$1
shift
more=
while [ $# -ge 2 ]; do
  more+="${1#--} $2"$'\n'
  shift 2
done

# The last of several equal lines counts. Left out: what is fixed at start and means nothing here.
lines=$(awk '{ if ($0 ~ /^[[:space:]]*(#|$)/) next; name = tolower($1); sub(/^[^ ]+ */, ""); gsub(/^["'\'']|["'\'']$/, ""); value[name] = $0 }
  END { for (name in value) print name, value[name] }' "$conf" - <<< "$more" | sort)
value() { sed -n "s/^$1 //p" <<< "$lines"; }
dir=$(value dir) port=$(value port) socket=$(value unixsocket)
mkdir -p "$dir/kvasir-data"
grep -Ev '^(port|bind|bind-source-addr|dir|unixsocket|unixsocketperm|daemonize|pidfile|logfile|always-show-logo|appendonly|appendfsync|appenddirname|appendfilename|dbfilename|enable-[a-z]*-(configs|command)|cluster-enabled|cluster-config-file|io-threads|io-threads-do-reads|aclfile|supervised|syslog-[a-z]*|tcp-backlog|rdbchecksum|[a-z_]*cpulist|user|save|oom-score-adj.*) ' \
  <<< "$lines" > "$dir/kvasir.conf"
echo "* kvasir for $conf, PID: $$"
exec "$here/../kvasir" server --config "$dir/kvasir.conf" --data "$dir/kvasir-data" --resp "127.0.0.1:$port" --durability none \
  ${socket:+--unixsocket "$socket"} --json > >(sed -u 's/^{.*/* Ready to accept connections/')
