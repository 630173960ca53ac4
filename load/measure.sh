# shellcheck shell=bash
# What the comparisons share: private servers on free ports, each in a process group whose processor time is counted.
# Sourced by load/compare.sh and load/control_plane.sh; sets up `folder`, removed at the end with all that was started.
PATH=$PATH:/usr/sbin
rounds=${ROUNDS:-3} seconds=${SECONDS_EACH:-5} connections=${CONNECTIONS:-32}
# The one that measures, for messages.
script=$(basename -- "$0" .sh)

folder=$(mktemp -d)
declare -A group port
end() {
    for server in "${!group[@]}"; do kill -KILL -- "-${group[$server]}" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf -- "$folder"
}
trap end EXIT
trap 'exit 130' INT TERM

# The measured server has a processor of its own; whatever it stands on and the driver share another.
if [ "$(nproc)" -ge 2 ]; then measured=(taskset -c 0) others=(taskset -c 1); else measured=() others=(); fi

need() {
    for tool in "$@"; do
        command -v "$tool" >/dev/null || { echo "$script: $tool is missing; run: tests/setup.sh load" >&2; exit 1; }
    done
}

fail() {
    echo "$script: $*" >&2
    tail -n 20 "$folder"/*.log >&2
    exit 1
}

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

# ticks NAME: processor time of all the server's processes so far, in clock ticks.
ticks() {
    { cat /proc/[0-9]*/stat 2>/dev/null || true; } | # a process may end while it is read
        awk -v group="${group[$1]}" '{ sub(/^.*\) /, "") } $3 == group { sum += $12 + $13 + $14 + $15 } END { print sum + 0 }'
}

# until_ready URL: waits until it answers with a success.
until_ready() {
    for _ in {1..100}; do
        ! curl -sf -o /dev/null -m 5 "$1" || return 0
        sleep 0.1
    done
    fail "$1 does not answer"
}

# drive SECONDS URL [HEADER]
drive() { "${others[@]}" wrk -t 1 -c "$connections" -d "$1" ${3:+-H "$3"} "$2"; }

# measure ROUND SERVER WORK URL [HEADER]: appends "round server work µs-per-request requests-per-second" to the results,
# and leaves the number of requests in `requests`.
measure() {
    local before report micros
    before=$(ticks "$2")
    report=$(drive "${seconds}s" "$4" "${5:-}")
    micros=$((($(ticks "$2") - before) * 1000000 / $(getconf CLK_TCK)))
    requests=$(awk '/requests in/ { print $1 }' <<<"$report")
    ! grep -qE 'Non-2xx|Socket errors' <<<"$report" || fail "$2 failed requests for $3: $report"
    awk -v m="$micros" -v n="$requests" -v s="$seconds" -v what="$1 $2 $3" \
        'BEGIN { printf "%s %.2f %.0f\n", what, m / n, n / s }' >>"$folder/results"
}

# peer_modules: installs what load/peers needs, once per lock file and outside the clone, and leaves the folder in
# `modules`.
peer_modules() {
    modules=${LEVEE_CACHE:-$HOME/.cache/levee}/load-peer
    mkdir -p "$modules"
    if ! cmp -s "$here/peers/package-lock.json" "$modules/installed.json"; then
        cp "$here/peers/package.json" "$here/peers/package-lock.json" "$modules/"
        (cd "$modules" && npm ci --ignore-scripts --no-audit --no-fund --silent)
        cp "$here/peers/package-lock.json" "$modules/installed.json"
    fi
    cp "$here"/peers/*.js "$modules/"
}

# api METHOD URL [curl's options…]: the answer's body, which must be a success.
api() { curl -sS --fail-with-body -m 30 -X "$1" -H 'Content-Type: application/json' "${@:3}" "$2" || fail "$1 $2 failed"; }

# field NAME: of the JSON object on standard input, a text.
field() { sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p'; }
