#!/bin/sh
# Gets what the tests need and the machine lacks. Quick when nothing is missing.
#   tests/setup.sh        for `make test`: nginx, PostgreSQL, Chromium, and httpbin in a Python environment in the cache
#   tests/setup.sh load   for `make load`: nginx, haproxy, varnish, wrk
# As root on Debian it installs packages; otherwise it prints the one command that would. Nothing it installs is started.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cache=${LEVEE_CACHE:-$HOME/.cache/levee}
venv=${LEVEE_TEST_VENV:-$cache/venv}
PATH=$PATH:/usr/sbin:/sbin

has() { command -v "$1" >/dev/null 2>&1; }

# Debian keeps its programs where no PATH looks.
has_postgresql() { has initdb || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }

# The packages that this machine lacks.
missing() {
    has nginx || echo nginx
    if [ "$1" = load ]; then
        has haproxy || echo haproxy
        has varnishd || echo varnish
        has wrk || echo wrk
    else
        has_postgresql || echo postgresql
        has chromium || echo chromium
        python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || echo python3-venv
    fi
}

install() {
    command="apt-get install -y --no-install-recommends $*"
    if ! has apt-get; then
        echo "setup: please install: $*" >&2
        exit 1
    elif [ "$(id -u)" -ne 0 ]; then
        echo "setup: the tests need packages that only root can install. Run this once:" >&2
        echo "    sudo sh -c 'apt-get update && $command'" >&2
        exit 1
    fi
    # Debian starts a server when it installs one, unless this file says no; the tests start private ones.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    apt-get update -qq >"$log" 2>&1 || { sleep 5; apt-get update -qq >"$log" 2>&1; } || { cat "$log" >&2; exit 1; }
    $command >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
    rm -f "$log"
    for server in nginx haproxy varnish varnishncsa postgresql; do
        case " $* " in *" $server "*) if has systemctl; then systemctl disable "$server" >/dev/null 2>&1 || true; fi ;; esac
    done
    echo "setup: installed $*"
}

# The stamp names what the environment was made from, so that a changed list makes it anew.
python_environment() {
    stamp=$(python3 -V; cksum <"$here/requirements.txt")
    if [ "$(cat "$venv/stamp" 2>/dev/null)" = "$stamp" ] && "$venv/bin/python" -c '' 2>/dev/null; then
        return
    fi
    mkdir -p "$(dirname -- "$venv")"
    python3 -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    echo "$stamp" >"$venv/stamp"
    echo "setup: made the Python environment in $venv"
}

for tool in cargo cc; do
    has "$tool" || { echo "setup: $tool is missing: install a Rust toolchain (https://rustup.rs) and Debian's build-essential" >&2; exit 1; }
done
for tool in fmt clippy; do
    cargo "$tool" --version >/dev/null 2>&1 || { echo "setup: run this once: rustup component add rustfmt clippy" >&2; exit 1; }
done
lacking=$(missing "${1-test}")
# shellcheck disable=SC2086 # one word per package
[ -z "$lacking" ] || install $lacking
[ "${1-test}" = load ] || python_environment
