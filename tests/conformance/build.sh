#!/usr/bin/env bash
# Builds the OCI distribution-spec conformance suite from the Go module proxy into .tools/bin/conformance
# (or $ARCHWAY_TOOLS/bin). It is one pinned commit, checked against the hash that Go's checksum database
# knows; nothing is done when that very version is there already.
set -euo pipefail

module=github.com/opencontainers/distribution-spec/conformance
version=v0.0.0-20260831232431-97274622c111

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=${ARCHWAY_TOOLS:-$root/.tools}/bin

if ! command -v go >/dev/null; then
    echo "conformance: 'go' is missing; install Go 1.24 or later" >&2
    exit 1
fi
if [ -x "$bin/conformance" ] && go version -m "$bin/conformance" | grep "$version" >/dev/null; then
    exit 0
fi
mkdir -p "$bin"
GOBIN=$bin GOFLAGS=-buildvcs=false go install -trimpath "$module@$version"
