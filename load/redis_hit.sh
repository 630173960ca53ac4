#!/usr/bin/env bash
# What an answer out of Redis costs beside the bare GET of the same value, in one run. See load/README.md.
#   load/redis_hit.sh
set -euo pipefail
cd "$(dirname -- "$0")/.."
report=$(mktemp)
trap 'rm -f -- "$report"' EXIT
tests/with-servers.sh cargo bench --locked --bench hot_path -- cache_redis --noplot --save-baseline redis-hit >"$report" 2>&1 ||
    { cat "$report" >&2; exit 1; }
python3 - "${CARGO_TARGET_DIR:-target}/criterion/cache_redis" <<'PYTHON'
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
median = {
    name: json.loads((folder / name / "redis-hit" / "estimates.json").read_text())["median"]["point_estimate"] / 1000
    for name in ("bare_get", "hit")
}
print(f"bare GET {median['bare_get']:.1f} µs, answer out of Redis {median['hit']:.1f} µs: {median['hit'] / median['bare_get']:.2f} times")
PYTHON
