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

# Makes the kernel run Arm programs, in containers too, by an entry of its own before all others.
# shellcheck disable=SC2317 # isolated.sh calls it
set_up() {
  mkdir "$WORK/binfmt"
  mount -t binfmt_misc none "$WORK/binfmt"
  sed "s/^:qemu-aarch64:/:$CGROUP:/" /usr/lib/binfmt.d/qemu-aarch64.conf >"$WORK/binfmt/register"
}

# shellcheck disable=SC2317 # isolated.sh calls it
tear_down() {
  [ ! -e "$WORK/binfmt/$CGROUP" ] || printf '%s' -1 >"$WORK/binfmt/$CGROUP"
  ! mountpoint -q "$WORK/binfmt" || umount "$WORK/binfmt"
}

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
