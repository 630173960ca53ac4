#!/usr/bin/env bash
# CPU time per request of Levee, nginx, HAProxy and Varnish on the same work in one run. See load/README.md.
#   load/compare.sh [path of a release build of levee]
# ROUNDS, SECONDS_EACH and CONNECTIONS change the size of a run.
set -euo pipefail
here=$(cd -- "$(dirname -- "$0")" && pwd)
levee=${1:-${CARGO_TARGET_DIR:-target}/release/levee}
# shellcheck source=load/measure.sh
. "$here/measure.sh"
need nginx haproxy varnishd wrk curl taskset openssl

# fill FILE: the template with this run's ports and folder.
fill() {
    sed -e "s|@ORIGINPORT@|${port[origin]}|g" -e "s|@ORIGIN@|127.0.0.1:${port[origin]}|g" -e "s|@PORT@|${port[${2:-origin}]}|g" -e "s|@FOLDER@|$folder|g" \
        -e "s|@USER@|$([ "$(id -u)" -ne 0 ] || echo 'user root;')|g" "$here/compare/$1" >"$folder/$1"
}

# start_levee: migrates a database of its own, starts, and leaves the API key in `key`.
start_levee() {
    local token account control=http://127.0.0.1:${port[levee-api]}/api/v1
    export LEVEE_DATABASE_URL=sqlite://$folder/levee.db LEVEE_ALLOWED_CIDRS=127.0.0.0/8 LEVEE_LOG=warn
    LEVEE_SECRET_KEYS=load:$(openssl rand -base64 32)
    export LEVEE_SECRET_KEYS
    "$levee" migrate >"$folder/migrate.log" 2>&1 || fail "levee migrate failed"
    (umask 077 && openssl rand -hex 16 >"$folder/password")
    start levee "${measured[@]}" env TOKIO_WORKER_THREADS=1 \
        LEVEE_BOOTSTRAP_ADMIN_EMAIL=load@localhost LEVEE_BOOTSTRAP_ADMIN_PASSWORD_FILE="$folder/password" \
        "$levee" serve --listen "127.0.0.1:${port[levee]}" --api-listen "127.0.0.1:${port[levee-api]}" \
        --ops-listen "127.0.0.1:${port[levee-ops]}" --upstreams "$folder/upstreams.yaml"
    until_ready "http://127.0.0.1:${port[levee-ops]}/readyz"
    token=$(api POST "$control/auth/login" -d "{\"email\":\"load@localhost\",\"password\":\"$(<"$folder/password")\"}" | field accessToken)
    account=$(api POST "$control/service-accounts" -H "Authorization: Bearer $token" -d '{"name":"load","class":"normal"}' | field id)
    key=$(api POST "$control/service-accounts/$account/keys" -H "Authorization: Bearer $token" -d '{"name":"load"}' | field key)
}

for server in origin nginx haproxy varnish levee levee-api levee-ops; do take_port "$server"; done
mkdir -p "$folder/origin" "$folder/nginx" "$folder/varnish"
body=$(printf '%01024d' 0)
fill origin.conf origin
sed -i "s|@BODY@|$body|" "$folder/origin.conf"
fill nginx.conf nginx
fill haproxy.cfg haproxy
fill upstreams.yaml
fill varnish.vcl
start origin "${others[@]}" nginx -p "$folder/origin" -c "$folder/origin.conf" -e stderr
start nginx "${measured[@]}" nginx -p "$folder/nginx" -c "$folder/nginx.conf" -e stderr
start haproxy "${measured[@]}" haproxy -db -f "$folder/haproxy.cfg"
# No jail: it would change the user, who cannot read the folder. Its log in shared memory is its own, and stays on.
start varnish "${measured[@]}" varnishd -F -j none -n "$folder/varnish" -a "127.0.0.1:${port[varnish]}" -f "$folder/varnish.vcl" \
    -s malloc,100m -p thread_pools=1
servers=(nginx haproxy varnish)
# Calls are authenticated, as in production: with the API key of a service account, made over the API.
if [ -x "$levee" ]; then
    servers+=(levee)
    start_levee
else
    echo "compare: no levee at $levee, so only the others are measured (cargo build --release makes it)"
fi

# What a server is measured with: Varnish is a cache and nothing else.
works() { [ "$1" = varnish ] && echo cached || echo plain cached; }
# Only Levee asks who is calling.
header() { [ "$1" != levee ] || echo "Levee-Key: $key"; }
url() { echo "http://127.0.0.1:${port[$1]}$([ "$1" != levee ] || echo /proxy)/$2/object"; }
origin_requests() { curl -s "http://127.0.0.1:${port[origin]}/requests" | awk 'NR == 3 { print $3 }'; }

for server in "${servers[@]}"; do
    for work in $(works "$server"); do
        for _ in {1..100}; do
            answer=$(curl -s -m 5 -w ' %{http_code}' -H "$(header "$server")" "$(url "$server" $work)" || true)
            [ "$answer" != "$body 200" ] || break
            sleep 0.1
        done
        [ "$answer" = "$body 200" ] || fail "$server does not answer as it should for $work: ${answer:0:300}"
    done
done

# measure_checked ROUND SERVER WORK: the origin must have seen every request of a pass-through, and hardly any of a
# cached run.
measure_checked() {
    local seen
    seen=$(origin_requests)
    measure "$@" "$(url "$2" "$3")" "$(header "$2")"
    seen=$(($(origin_requests) - seen - 1)) # less the question itself
    case $3 in
        plain) [ "$seen" -ge "$requests" ] || fail "$2 answered $3 by itself: $requests asked, the origin saw $seen" ;;
        cached) [ $((seen * 100)) -le "$requests" ] || fail "$2 did not cache: $requests asked, the origin saw $seen" ;;
    esac
}

for server in "${servers[@]}"; do
    for work in $(works "$server"); do drive 1s "$(url "$server" $work)" "$(header "$server")" >/dev/null; done
done
# Rounds are interleaved, so that a machine that changes speed changes it for everybody.
for ((round = 1; round <= rounds; round++)); do
    for work in plain cached; do
        for server in "${servers[@]}"; do
            [[ " $(works "$server") " != *" $work "* ]] || measure_checked "$round" "$server" "$work"
        done
    done
done
echo "$rounds rounds of $seconds s, $connections connections, 1 KiB answers, one worker thread each"
nginx -v 2>&1 | sed 's/.*: //'
varnishd -V 2>&1 | sed -n 's/.*(\(varnish-[0-9.]*\).*/\1/p'
haproxy -v | awk 'NR == 1 { print "haproxy/" $3 }'
[ ! -x "$levee" ] || "$levee" --version
awk -v base=nginx -v works="plain cached" -f "$here/summary.awk" "$folder/results"
