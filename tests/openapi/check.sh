#!/bin/sh
# Lints the committed OpenAPI documents with Spectral and Redocly, at the exact versions of package-lock.json.
# OPENAPI_TOOLS_DIR is where they are installed, once per lock file; it needs the network only then.
set -eu

tools=${OPENAPI_TOOLS_DIR:?set OPENAPI_TOOLS_DIR to a folder that may be kept between runs}
here=$(cd "$(dirname "$0")" && pwd)
documents="$here/../../openapi/levee.json $here/../../openapi/levee.yaml"

mkdir -p "$tools"
if ! cmp -s "$here/package-lock.json" "$tools/installed.json"; then
    cp "$here/package.json" "$here/package-lock.json" "$tools/"
    # No install scripts: the only ones in this tree report to their makers.
    (cd "$tools" && npm ci --ignore-scripts --no-audit --no-fund)
    cp "$here/package-lock.json" "$tools/installed.json"
fi

# shellcheck disable=SC2086 # two paths, parted on purpose
"$tools/node_modules/.bin/spectral" lint --fail-severity warn --ruleset "$here/spectral.yaml" $documents
# shellcheck disable=SC2086
REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true \
    "$tools/node_modules/.bin/redocly" lint --config "$here/redocly.yaml" $documents
