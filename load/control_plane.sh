#!/usr/bin/env bash
# CPU time per request of Levee's control plane and of the same two routes by Fastify, jose and pg (load/peers), over
# one private PostgreSQL, with one user's token, in one run. See load/README.md.
#   load/control_plane.sh [path of a release build of levee]
# ROUNDS, SECONDS_EACH and CONNECTIONS change the size of a run.
set -euo pipefail
here=$(cd -- "$(dirname -- "$0")" && pwd)
if [ -z "${LEVEE_TEST_POSTGRES:-}" ]; then
    # PostgreSQL stays on the processor of those that are not measured.
    last=$(($(nproc) - 1))
    exec taskset -c "$last" "$here/../tests/with-servers.sh" taskset -c "0-$last" "$here/control_plane.sh" "$@"
fi
levee=$(realpath -- "${1:-${CARGO_TARGET_DIR:-target}/release/levee}")
PATH=${LEVEE_TEST_VENV:-${LEVEE_CACHE:-$HOME/.cache/levee}/venv}/bin:$PATH
# shellcheck source=load/measure.sh
. "$here/measure.sh"
need wrk curl taskset node npm
[ -x "$levee" ] || fail "no levee at $levee (cargo build --release makes it)"

peer_modules

for server in levee levee-ops levee-flaky fastify; do take_port "$server"; done
api=http://127.0.0.1:${port[levee]}
# `dev`, because `serve` limits what one user may ask, and the peer limits nothing.
cd "$folder"
start levee "${measured[@]}" env TOKIO_WORKER_THREADS=1 LEVEE_DATABASE_URL="$LEVEE_TEST_POSTGRES" LEVEE_LOG=warn \
    "$levee" dev --listen "127.0.0.1:${port[levee]}" --ops-listen "127.0.0.1:${port[levee-ops]}" \
    --flaky-listen "127.0.0.1:${port[levee-flaky]}"
until_ready "http://127.0.0.1:${port[levee-ops]}/readyz"
start fastify "${measured[@]}" env NODE_ENV=production PORT="${port[fastify]}" DATABASE_URL="$LEVEE_TEST_POSTGRES" \
    JWKS_URL="$api/.well-known/jwks.json" node "$modules/server.js"

token=$(api POST "$api/api/v1/auth/login" \
    -d "{\"email\":\"admin@localhost\",\"password\":\"$(<.levee/admin-password)\"}" | field accessToken)
bearer="Authorization: Bearer $token"
api POST "$api/api/v1/upstreams" -H "$bearer" >/dev/null -d '{"name":"rates","spec":{"url":"https://api.example.com/v1",
    "timeout":{"total":"2s","attempt":"800ms"},"retry":{"attempts":3},"access":{"allow":["any_authenticated"]}}}'

servers=(fastify levee)
declare -A path=([me]=/api/v1/auth/me [upstream]=/api/v1/upstreams/rates)
url() { echo "http://127.0.0.1:${port[$1]}${path[$2]}"; }

# Both must do the work: a success with the token, 401 without.
for server in "${servers[@]}"; do
    for _ in {1..100}; do port_is_free "${port[$server]}" || break; sleep 0.1; done
    for work in me upstream; do
        code=$(curl -s -o "$folder/$server.$work" -w '%{http_code}' -H "$bearer" "$(url "$server" $work)" || true)
        [ "$code" = 200 ] || fail "$server answers $work with $code: $(head -c 300 "$folder/$server.$work")"
        code=$(curl -s -o /dev/null -w '%{http_code}' "$(url "$server" $work)")
        [ "$code" = 401 ] || fail "$server answers $work without a token with $code"
    done
done

for server in "${servers[@]}"; do
    for work in me upstream; do drive 2s "$(url "$server" $work)" "$bearer" >/dev/null; done
done
# Rounds are interleaved, so that a machine that changes speed changes it for everybody.
for ((round = 1; round <= rounds; round++)); do
    for work in me upstream; do
        for server in "${servers[@]}"; do measure "$round" "$server" $work "$(url "$server" $work)" "$bearer"; done
    done
done
echo "$rounds rounds of $seconds s, $connections connections, one thread that runs code each"
for work in me upstream; do
    echo "$work: Levee answers with $(wc -c <"$folder/levee.$work") bytes, Fastify with $(wc -c <"$folder/fastify.$work")"
done
echo "node $(node --version), the rest as in load/peers/package.json"
"$levee" --version
awk -v base=fastify -v works="me upstream" -f "$here/summary.awk" "$folder/results"
