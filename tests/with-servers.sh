#!/bin/bash
# Runs a command with a private PostgreSQL and a private Redis: tests/with-servers.sh cargo nextest run --test it store
# They listen on free ports of 127.0.0.1, keep their data in a temporary folder, and end with this script, however that
# ends. The command finds their URLs in LEVEE_TEST_POSTGRES and LEVEE_TEST_REDIS; what is set already is not started.
set -eu

folder=$(mktemp -d --suffix=-levee-servers)
postgres=
redis=
finish() {
    status=$?
    trap - EXIT INT TERM
    # SIGQUIT is PostgreSQL's immediate shutdown: nothing in there is worth a checkpoint.
    [ -z "$postgres" ] || { kill -QUIT "$postgres" 2>/dev/null || true; wait "$postgres" 2>/dev/null || true; }
    [ -z "$redis" ] || { kill -KILL "$redis" 2>/dev/null || true; wait "$redis" 2>/dev/null || true; }
    rm -rf "$folder"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

start_postgres() {
    local bin='' candidate port
    for candidate in /usr/lib/postgresql/*/bin; do [ -x "$candidate/initdb" ] && bin=$candidate; done
    [ -n "$bin" ] || bin=$(dirname "$(command -v initdb || echo /missing)")
    [ -x "$bin/initdb" ] || { echo "with-servers: PostgreSQL is missing: run tests/setup.sh once" >&2; exit 1; }

    # PostgreSQL refuses to run as root. The signal is what it gets should this script be killed.
    local as_server=(setpriv --pdeathsig QUIT)
    if [ "$(id -u)" -eq 0 ]; then
        chmod 755 "$folder"
        mkdir "$folder/postgres"
        chown postgres "$folder/postgres"
        as_server+=(--reuid postgres --regid "$(id -g postgres)" --clear-groups)
    else
        mkdir "$folder/postgres"
    fi
    local data=$folder/postgres/data
    "${as_server[@]}" "$bin/initdb" -D "$data" -U levee -A trust -E UTF8 --locale=C --no-sync >"$folder/initdb.log" 2>&1 ||
        { cat "$folder/initdb.log" >&2; exit 1; }

    for _ in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 10000))
        # Nothing in here outlives the tests, so nothing needs to reach the disk.
        "${as_server[@]}" "$bin/postgres" -D "$data" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
            -c fsync=off -c full_page_writes=off -c max_connections=500 -c shared_buffers=64MB -c log_min_messages=fatal \
            >"$folder/postgres.log" 2>&1 &
        postgres=$!
        until grep -qs '^ready' "$data/postmaster.pid"; do
            kill -0 "$postgres" 2>/dev/null || { postgres=; break; }
            sleep 0.05
        done
        [ -z "$postgres" ] || break
    done
    [ -n "$postgres" ] || { cat "$folder/postgres.log" >&2; exit 1; }
    export LEVEE_TEST_POSTGRES="postgres://levee@127.0.0.1:$port/postgres"
}

start_redis() {
    command -v redis-server >/dev/null || { echo "with-servers: Redis is missing: run tests/setup.sh once" >&2; exit 1; }
    local port
    for _ in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 10000))
        setpriv --pdeathsig KILL redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$folder" \
            >"$folder/redis.log" 2>&1 &
        redis=$!
        until grep -qs 'Ready to accept connections' "$folder/redis.log"; do
            kill -0 "$redis" 2>/dev/null || { redis=; break; }
            sleep 0.05
        done
        [ -z "$redis" ] || break
    done
    [ -n "$redis" ] || { cat "$folder/redis.log" >&2; exit 1; }
    export LEVEE_TEST_REDIS="redis://127.0.0.1:$port"
}

[ -n "${LEVEE_TEST_POSTGRES:-}" ] || start_postgres
[ -n "${LEVEE_TEST_REDIS:-}" ] || start_redis
"$@"
