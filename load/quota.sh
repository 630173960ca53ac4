#!/bin/bash
# A quota of 100 a second over three replicas, for 20 seconds: what reaches the upstream with Redis, with Redis killed
# half-way, and without it. Prints one line each.
#   load/quota.sh [PATH-OF-LEVEE]
# Everything listens on 127.0.0.1 and ends with this script. nginx is the upstream, its access log the count.
set -eu -o pipefail
levee=${1:-target/release/levee}
[ -x "$levee" ] || { echo "quota: no $levee: cargo build --release" >&2; exit 1; }
for tool in nginx redis-server wrk curl; do
    command -v "$tool" >/dev/null || { echo "quota: $tool is missing: tests/setup.sh and tests/setup.sh load" >&2; exit 1; }
done
levee=$(realpath "$levee")
folder=$(mktemp -d --suffix=-levee-quota)
pids=()
finish() {
    status=$?
    trap - EXIT INT TERM
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$folder"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

base=$((20000 + RANDOM % 10000))
upstream=$base redis=$((base + 1))
cat >"$folder/nginx.conf" <<CONF
daemon off; master_process off; pid $folder/nginx.pid; error_log $folder/nginx.log;
events { worker_connections 1024; }
http {
    log_format arrival '\$msec'; access_log $folder/arrivals arrival;
    server { listen 127.0.0.1:$upstream; keepalive_requests 1000000; location / { return 200 ok; } }
}
CONF
nginx -c "$folder/nginx.conf" -e "$folder/nginx.log" & pids+=($!)
start_redis() {
    redis-server --port "$redis" --bind 127.0.0.1 --save '' --appendonly no --dir "$folder" >/dev/null & redis_pid=$!
    pids+=("$redis_pid")
    for _ in $(seq 100); do redis-cli -p "$redis" ping >/dev/null 2>&1 && return; sleep 0.1; done
    echo "quota: Redis does not start" >&2; exit 1
}
start_redis
cat >"$folder/upstreams.yaml" <<YAML
apiVersion: levee.dev/v1alpha1
kind: Upstream
metadata: { name: api }
spec:
  url: http://127.0.0.1:$upstream
  cache: { mode: off }
  retry: { attempts: 1 }
  quota: { rate: 100/s, burst: 20, scope: fleet, onExhausted: wait, onStoreLoss: local_share }
YAML
for replica in 0 1 2; do
    data=$((base + 10 + replica)) ops=$((base + 20 + replica))
    mkdir "$folder/$replica"
    (cd "$folder/$replica" && exec env LEVEE_LOG=warn LEVEE_REDIS_URL="redis://127.0.0.1:$redis" "$levee" dev \
        --listen "127.0.0.1:$data" --ops-listen "127.0.0.1:$ops" \
        --flaky-listen 127.0.0.1:0 --upstreams "$folder/upstreams.yaml" >"$folder/$replica/log" 2>&1) & pids+=($!)
done
ask() { curl -sf "http://127.0.0.1:$((base + 20 + $1))/metrics" | awk -v name="$2" '$1 == name { print $2 }'; }
for replica in 0 1 2; do
    for _ in $(seq 300); do [ "$(ask "$replica" levee_replicas || true)" = 3 ] && continue 2; sleep 0.1; done
    echo "quota: the replicas do not hear of each other:" >&2; cat "$folder"/*/log >&2; exit 1
done

# Requests that reached the upstream in the 20 s after a lead of 2 s, which uses up the burst.
measure() {
    local what=$1 half=$2 callers=() from to
    for replica in 0 1 2; do
        wrk -t1 -c8 -d25s --timeout 20s "http://127.0.0.1:$((base + 10 + replica))/proxy/api/ok" >"$folder/$replica/wrk" & callers+=($!)
    done
    sleep 2; from=$(date +%s.%N); sleep 10; $half; sleep 10; to=$(date +%s.%N)
    for caller in "${callers[@]}"; do wait "$caller"; done
    awk -v what="$what" -v from="$from" -v to="$to" '
        $1 >= from && $1 < to { count++ }
        END { expected = 100 * (to - from); printf "%-28s %5d requests in %.1f s, %+.1f %%\n", what, count, to - from, 100 * (count / expected - 1) }' "$folder/arrivals"
    grep -h 'Non-2xx' "$folder"/*/wrk && echo "  (refused)" || true
}
kill_redis() { kill -KILL "$redis_pid"; wait "$redis_pid" 2>/dev/null || true; }
measure "with Redis" true
measure "Redis killed half-way" kill_redis
measure "without Redis" true
