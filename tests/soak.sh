#!/usr/bin/env bash
# `make soak`: the long forms of tests that `make test` runs in a short form. About an hour.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --locked --workspace --all-targets
ARCHWAY_CRASH_ROUNDS=300 cargo test --locked --workspace --test it -- crash_rounds::
tests/tools/fuzz.sh -runs=10000000
