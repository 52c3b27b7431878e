#!/usr/bin/env bash
# Archway on arm64: cross-compiled with Debian's toolchain, and run by qemu before a registry that counts.
# steps.py has the steps; docker/test-image.sh has those with the image for two platforms.
#
#   run.sh compile   only compiles the binary and prints its path
#
#   ARCHWAY_ARM64_BIN   an existing binary, instead of compiling one
#   ARM64_PROFILE       Cargo's profile; by default the one that compiles fastest, without debug information
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export ROOT

# shellcheck source=tests/tools/isolated.sh
. "$ROOT/tests/tools/isolated.sh"

# In a folder of its own: Cargo's lock on the one of the tests would make them wait for it.
compile() {
  CARGO_TARGET_DIR=$ROOT/target/arm64 CARGO_PROFILE_DEV_DEBUG=false "$ROOT/docker/compile.sh" aarch64-unknown-linux-gnu "${ARM64_PROFILE:-dev}"
}

if [ "${1:-}" = compile ]; then
  compile
  exit
fi
ARCHWAY=${ARCHWAY_ARM64_BIN:-}
[ -n "$ARCHWAY" ] || ARCHWAY=$(compile)
export ARCHWAY
for program in "$ARCHWAY" /usr/bin/{qemu-aarch64-static,python3}; do
  [ -x "$program" ] || { echo "run.sh: $program is missing; run tests/tools/install.sh demo" >&2; exit 1; }
done
isolated archway-arm64 "$ROOT/tests/arm64/steps.sh"
