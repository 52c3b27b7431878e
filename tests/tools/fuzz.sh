#!/usr/bin/env bash
# Runs every fuzz target of every crate, each for the given number of seconds (default: 60).
set -euo pipefail

seconds=${1:-60}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cargo +nightly --version >/dev/null 2>&1 || { echo "fuzz.sh: the nightly toolchain is missing; run rustup toolchain install nightly" >&2; exit 1; }
cargo +nightly fuzz --version >/dev/null 2>&1 || { echo "fuzz.sh: cargo-fuzz is missing; run cargo install cargo-fuzz" >&2; exit 1; }
for folder in crates/*/fuzz; do
  while read -r target; do
    echo "== $folder: $target"
    (cd "$folder/.." && cargo +nightly fuzz run "$target" -- -max_total_time="$seconds" -timeout=10)
  done < <(cd "$folder/.." && cargo +nightly fuzz list)
done
