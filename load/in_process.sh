#!/usr/bin/env bash
# What a hit in memory costs inside a process: Levee's cache (the whole lookup of HTTP's rules, with the answer's headers
# and body made) and the caches that a Node.js team would pick, in one run. See load/README.md.
#   load/in_process.sh
set -euo pipefail
here=$(cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=load/measure.sh
. "$here/measure.sh"
need cargo node npm taskset
peer_modules
cd "$here/.."
"${measured[@]}" cargo bench --locked --bench hot_path -- "cache/lookup_hit" --noplot --save-baseline in-process >"$folder/bench.log" 2>&1 ||
    fail "the benchmark failed: $(tail -n 5 "$folder/bench.log")"
# criterion's own estimate of the median, nanoseconds. It runs one thread that does nothing else, so this is CPU time.
for bench in lookup_hit lookup_hit_and_answer; do
    estimates=$(find "${CARGO_TARGET_DIR:-target}/criterion" -path "*cache_$bench/in-process/estimates.json")
    python3 -c 'import json, sys; print(sys.argv[2], round(json.load(open(sys.argv[1]))["median"]["point_estimate"]))' "$estimates" "levee-$bench"
done >"$folder/hits"
"${measured[@]}" node "$modules/memory_cache.js" >>"$folder/hits"
awk '{ name[NR] = $1; nanos[NR] = $2 }
    $1 == "levee-lookup_hit_and_answer" { base = $2 }
    END {
        printf "%-30s %10s %20s %12s\n", "a hit in memory", "CPU ns", "hits/s on one core", "× Levee"
        for (n = 1; n <= NR; n++) printf "%-30s %10d %20d %12.1f\n", name[n], nanos[n], 1e9 / nanos[n], nanos[n] / base
    }' "$folder/hits"
