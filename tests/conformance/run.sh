#!/usr/bin/env bash
# Runs the pull tests of the OCI conformance suite through Archway, in front of a registry that is
# preloaded with every kind of content. Ends non-zero when a test failed. Takes the binary from
# ARCHWAY_BIN, or builds it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
"$here/build.sh"
if [ -z "${ARCHWAY_BIN:-}" ]; then
    cargo build --locked --quiet --workspace --all-targets
fi
exec cargo test --locked --quiet --workspace --test it -- \
    --ignored --exact --nocapture conformance::the_suites_pull_tests_pass
