#!/usr/bin/env bash
# Runs every fuzz target of every crate, each with the given limit of libFuzzer's: -max_total_time=60
# (the default) for seconds, -runs=10000000 for inputs.
set -euo pipefail

limit=${1:--max_total_time=60}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cargo +nightly --version >/dev/null 2>&1 || { echo "fuzz.sh: the nightly toolchain is missing; run rustup toolchain install nightly" >&2; exit 1; }
cargo +nightly fuzz --version >/dev/null 2>&1 || { echo "fuzz.sh: cargo-fuzz is missing; run cargo install cargo-fuzz" >&2; exit 1; }
for folder in crates/*/fuzz; do
  targets=$(cd "$folder/.." && cargo +nightly fuzz list)
  while read -r target; do
    echo "== $folder: $target"
    (cd "$folder/.." && cargo +nightly fuzz run "$target" -- "$limit" -timeout=10)
  done <<< "$targets"
done
