#!/usr/bin/env bash
# `make bench`: builds Archway and the benchmark in release, and runs it with a network, a loopback device and a
# process space of its own, so that nothing else is on its ports and nothing outlives it.
#
#   run.sh [--runs N] [--only NAME,NAME] [--output FILE] ...      run.sh --help lists all
#
# ARCHWAY_BIN measures another binary instead of building one. The work folder is target/bench of this tree.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd "$HERE/../.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$TOP/target}
cd "$TOP"

cargo build --locked --profile dist -p bench
if [ -z "${ARCHWAY_BIN:-}" ]; then
  cargo build --locked --profile dist -p archway
  ARCHWAY_BIN=$TARGET/dist/archway
fi
populate=()
if [ -e crates/cache/examples/populate.rs ]; then
  cargo build --locked --profile dist -p cache --example populate
  populate=(--populate "$TARGET/dist/examples/populate")
fi

BENCH=("$TARGET/dist/bench" --archway "$(realpath "$ARCHWAY_BIN")" --folder "$TARGET/bench" "${populate[@]}" "$@")
printf -v BENCH_COMMAND '%q ' "${BENCH[@]}"
export BENCH_COMMAND BENCH_DIRECTORY=$PWD

# shellcheck disable=SC2317 # isolated.sh calls it
tear_down() { rm -rf --one-file-system "$TARGET/bench"; }

# shellcheck source=tests/tools/isolated.sh
. "$HERE/../tools/isolated.sh"
isolated archway-bench "$HERE/inside.sh"
