#!/bin/bash
# Runs a command with a private PostgreSQL: tests/with-servers.sh cargo nextest run --test it store
# The server listens on a free port of 127.0.0.1, keeps its data in a temporary folder, and ends with this script,
# however that ends. The command finds its URL in LEVEE_TEST_POSTGRES; where that is set already, nothing is started.
set -eu
[ -z "${LEVEE_TEST_POSTGRES:-}" ] || exec "$@"

bin=
for candidate in /usr/lib/postgresql/*/bin; do [ -x "$candidate/initdb" ] && bin=$candidate; done
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb || echo /missing)")
[ -x "$bin/initdb" ] || { echo "with-servers: PostgreSQL is missing: run tests/setup.sh once" >&2; exit 1; }

folder=$(mktemp -d --suffix=-levee-postgres)
server=
finish() {
    status=$?
    trap - EXIT INT TERM
    # SIGQUIT is PostgreSQL's immediate shutdown: nothing in there is worth a checkpoint.
    [ -z "$server" ] || { kill -QUIT "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
    rm -rf "$folder"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# PostgreSQL refuses to run as root. The signal is what it gets should this script be killed.
as_server=(setpriv --pdeathsig QUIT)
if [ "$(id -u)" -eq 0 ]; then
    chown postgres "$folder"
    as_server+=(--reuid postgres --regid "$(id -g postgres)" --clear-groups)
fi
"${as_server[@]}" "$bin/initdb" -D "$folder/data" -U levee -A trust -E UTF8 --locale=C --no-sync >"$folder/initdb.log" 2>&1 ||
    { cat "$folder/initdb.log" >&2; exit 1; }

for _ in 1 2 3 4 5; do
    port=$((20000 + RANDOM % 10000))
    # Nothing in here outlives the tests, so nothing needs to reach the disk.
    "${as_server[@]}" "$bin/postgres" -D "$folder/data" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
        -c fsync=off -c full_page_writes=off -c max_connections=500 -c shared_buffers=64MB -c log_min_messages=fatal \
        >"$folder/log" 2>&1 &
    server=$!
    until grep -qs '^ready' "$folder/data/postmaster.pid"; do
        kill -0 "$server" 2>/dev/null || { server=; break; }
        sleep 0.05
    done
    [ -z "$server" ] || break
done
[ -n "$server" ] || { cat "$folder/log" >&2; exit 1; }

export LEVEE_TEST_POSTGRES="postgres://levee@127.0.0.1:$port/postgres"
"$@"
