#!/usr/bin/env bash
# CPU time per request of Levee, nginx and HAProxy on the same work in one run. See load/README.md.
#   load/compare.sh [path of a release build of levee]
# ROUNDS, SECONDS_EACH and CONNECTIONS change the size of a run.
set -euo pipefail
here=$(cd -- "$(dirname -- "$0")" && pwd)
PATH=$PATH:/usr/sbin
levee=${1:-${CARGO_TARGET_DIR:-target}/release/levee}
rounds=${ROUNDS:-3} seconds=${SECONDS_EACH:-5} connections=${CONNECTIONS:-32}

for tool in nginx haproxy wrk curl taskset; do
    command -v $tool >/dev/null || { echo "compare: $tool is missing; run: tests/setup.sh load" >&2; exit 1; }
done
folder=$(mktemp -d)
declare -A group port
end() {
    for server in "${!group[@]}"; do kill -KILL -- "-${group[$server]}" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf -- "$folder"
}
trap end EXIT
trap 'exit 130' INT TERM

# The measured server has a processor of its own; the origin and the driver share another.
if [ "$(nproc)" -ge 2 ]; then measured=(taskset -c 0) others=(taskset -c 1); else measured=() others=(); fi

port_is_free() { ! (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
next_port=$((20000 + RANDOM % 10000))
take_port() { until port_is_free $((++next_port)); do :; done; port[$1]=$next_port; }

# start NAME COMMAND…: in a process group of its own, so that all its processes are counted and ended.
start() {
    local name=$1
    shift
    setsid "$@" >"$folder/$name.log" 2>&1 </dev/null &
    group[$name]=$!
}

# fill FILE: the template with this run's ports and folder.
fill() {
    sed -e "s|@ORIGIN@|127.0.0.1:${port[origin]}|g" -e "s|@PORT@|${port[${2:-origin}]}|g" -e "s|@FOLDER@|$folder|g" \
        -e "s|@USER@|$([ "$(id -u)" -ne 0 ] || echo 'user root;')|g" "$here/compare/$1" >"$folder/$1"
}

for server in origin nginx haproxy levee levee-api levee-ops; do take_port "$server"; done
mkdir -p "$folder/origin" "$folder/nginx"
body=$(printf '%01024d' 0)
fill origin.conf origin
sed -i "s|@BODY@|$body|" "$folder/origin.conf"
fill nginx.conf nginx
fill haproxy.cfg haproxy
fill upstreams.yaml
start origin "${others[@]}" nginx -p "$folder/origin" -c "$folder/origin.conf" -e stderr
start nginx "${measured[@]}" nginx -p "$folder/nginx" -c "$folder/nginx.conf" -e stderr
start haproxy "${measured[@]}" haproxy -db -f "$folder/haproxy.cfg"
servers=(nginx haproxy)
if [ -x "$levee" ]; then
    servers+=(levee)
    start levee "${measured[@]}" env TOKIO_WORKER_THREADS=1 LEVEE_ANONYMOUS=loopback LEVEE_ALLOWED_CIDRS=127.0.0.0/8 LEVEE_LOG=warn \
        "$levee" serve --listen "127.0.0.1:${port[levee]}" --api-listen "127.0.0.1:${port[levee-api]}" \
        --ops-listen "127.0.0.1:${port[levee-ops]}" --upstreams "$folder/upstreams.yaml"
else
    echo "compare: no levee at $levee, so only the others are measured (cargo build --release makes it)"
fi

url() { echo "http://127.0.0.1:${port[$1]}$([ "$1" != levee ] || echo /proxy)/$2/object"; }
origin_requests() { curl -s "http://127.0.0.1:${port[origin]}/requests" | awk 'NR == 3 { print $3 }'; }

# ticks NAME: processor time of all the server's processes so far, in clock ticks.
ticks() {
    { cat /proc/[0-9]*/stat 2>/dev/null || true; } | # a process may end while it is read
        awk -v group="${group[$1]}" '{ sub(/^.*\) /, "") } $3 == group { sum += $12 + $13 + $14 + $15 } END { print sum + 0 }'
}

fail() {
    echo "compare: $*" >&2
    tail -n 20 "$folder"/*.log >&2
    exit 1
}

for server in "${servers[@]}"; do
    for work in plain cached; do
        for _ in {1..100}; do
            answer=$(curl -s -m 5 -w ' %{http_code}' "$(url "$server" $work)" || true)
            [ "$answer" != "$body 200" ] || break
            sleep 0.1
        done
        [ "$answer" = "$body 200" ] || fail "$server does not answer as it should for $work: ${answer:0:300}"
    done
done

drive() { "${others[@]}" wrk -t 1 -c "$connections" -d "$1" "$2"; }

# measure ROUND SERVER WORK: appends "round server work µs-per-request requests-per-second".
measure() {
    local before seen report requests micros
    before=$(ticks "$2") seen=$(origin_requests)
    report=$(drive "${seconds}s" "$(url "$2" "$3")")
    seen=$(($(origin_requests) - seen - 1)) # less the question itself
    requests=$(awk '/requests in/ { print $1 }' <<<"$report")
    ! grep -qE 'Non-2xx|Socket errors' <<<"$report" || fail "$2 failed requests for $3: $report"
    case $3 in
        plain) [ "$seen" -ge "$requests" ] || fail "$2 answered $3 by itself: $requests asked, the origin saw $seen" ;;
        cached) [ $((seen * 100)) -le "$requests" ] || fail "$2 did not cache: $requests asked, the origin saw $seen" ;;
    esac
    micros=$((($(ticks "$2") - before) * 1000000 / $(getconf CLK_TCK)))
    awk -v m="$micros" -v n="$requests" -v s="$seconds" -v what="$1 $2 $3" \
        'BEGIN { printf "%s %.2f %.0f\n", what, m / n, n / s }' >>"$folder/results"
}

for server in "${servers[@]}"; do
    for work in plain cached; do drive 1s "$(url "$server" $work)" >/dev/null; done
done
# Rounds are interleaved, so that a machine that changes speed changes it for everybody.
for ((round = 1; round <= rounds; round++)); do
    for work in plain cached; do
        for server in "${servers[@]}"; do measure "$round" "$server" "$work"; done
    done
done
echo "$rounds rounds of $seconds s, $connections connections, 1 KiB answers, one worker thread each"
nginx -v 2>&1 | sed 's/.*: //'
haproxy -v | awk 'NR == 1 { print "haproxy/" $3 }'
[ ! -x "$levee" ] || "$levee" --version
awk -f "$here/compare/summary.awk" "$folder/results"
