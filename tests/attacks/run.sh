#!/usr/bin/env bash
# `make attacks`: builds Archway in release and the attacks, and runs them with a network and a process space of
# their own, so that no traffic leaves this machine and nothing outlives the run.
#
#   run.sh [--only NAME,NAME] [--document FILE]      run.sh --help lists all
#
# ARCHWAY_BIN attacks another binary instead of building one. It ends with 1 if a bound does not hold.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd "$HERE/../.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$TOP/target}
cd "$TOP"

cargo build --locked --workspace --all-targets
if [ -z "${ARCHWAY_BIN:-}" ]; then
  cargo build --locked --release -p archway
  ARCHWAY_BIN=$TARGET/release/archway
fi
ARCHWAY_BIN=$(realpath "$ARCHWAY_BIN")
export ARCHWAY_BIN

printf -v ATTACKS_COMMAND '%q ' "$TARGET/debug/attacks" "$@"
export ATTACKS_COMMAND ATTACKS_DIRECTORY=$PWD

# shellcheck source=tests/tools/isolated.sh
. "$HERE/../tools/isolated.sh"
isolated archway-attacks "$HERE/inside.sh"
