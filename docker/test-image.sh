#!/usr/bin/env bash
# Tests the image of docker/Dockerfile, an index for amd64 and arm64, where no base image is available.
# Compiles the static binaries here, with the same command, builds the last stage from them and runs
# that under a dockerd of its own with a read-only root, as user 65532, with a volume for the cache.
# The image for arm64 is served through the one for amd64, and run by qemu. test-image-steps.sh has
# the steps.
#
#   test-image.sh compile   only compiles the binary
#
#   ARCHWAY_STATIC_BIN   an existing static binary to test, instead of compiling one
#   ARCHWAY_ARM64_BIN    one for arm64, instead of compiling that
#   PROFILE              Cargo's profile for the binary: dist, as in the Dockerfile, or a faster one
#   KEEP=1               keeps the work folder with every log
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export ROOT
export TOOLS=$ROOT/tests/tools

# shellcheck source=tests/tools/isolated.sh
. "$TOOLS/isolated.sh"
# shellcheck source=tests/tools/arm_programs.sh
. "$TOOLS/arm_programs.sh"

fail() {
  printf 'test-image: %s\n' "$*" >&2
  exit 1
}

check_prerequisites() {
  local program
  [ "$(id -u)" = 0 ] || fail "must run as root, because it runs a dockerd of its own"
  for program in /usr/bin/qemu-aarch64-static /usr/sbin/dockerd /usr/sbin/runc /usr/bin/{docker,docker-registry,curl,openssl,unshare,setpriv}; do
    [ -x "$program" ] || fail "$program is missing; run tests/tools/install.sh demo"
  done
}

# compile MACHINE: prints the path of its binary.
compile() {
  "$ROOT/docker/compile.sh" "$1-unknown-linux-gnu" "$PROFILE"
}

# shellcheck disable=SC2317 # isolated.sh calls it
set_up() { run_arm_programs "$CGROUP"; }

# shellcheck disable=SC2317 # isolated.sh calls it
tear_down() { forget_arm_programs; }

PROFILE=${PROFILE:-dist}
if [ "${1:-}" = compile ]; then
  compile "$(uname -m)"
  exit
fi
check_prerequisites
BINARY=${ARCHWAY_STATIC_BIN:-}
[ -n "$BINARY" ] || BINARY=$(compile "$(uname -m)")
ARM64_BINARY=${ARCHWAY_ARM64_BIN:-}
[ -n "$ARM64_BINARY" ] || ARM64_BINARY=$(compile aarch64)
for binary in "$BINARY" "$ARM64_BINARY"; do
  [ -x "$binary" ] || fail "$binary is missing or not executable"
done
export BINARY ARM64_BINARY
isolated archway-image-test "$ROOT/docker/test-image-steps.sh"
