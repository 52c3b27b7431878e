#!/usr/bin/env bash
# Tests the image of docker/Dockerfile where no base image is available. Compiles the static binary
# here, with the same command, builds the last stage from it and runs that under a dockerd of its
# own with a read-only root, as user 65532, with a volume for the cache. test-image-steps.sh has the
# steps.
#
#   test-image.sh compile   only compiles the binary
#
#   ARCHWAY_STATIC_BIN   an existing static binary to test, instead of compiling one
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
  for program in /usr/sbin/dockerd /usr/sbin/runc /usr/bin/{docker,docker-registry,curl,openssl,unshare,setpriv}; do
    [ -x "$program" ] || fail "$program is missing; run tests/tools/install.sh demo"
  done
}

compile() {
  local target
  target=$(uname -m)-unknown-linux-gnu
  BINARY=$("$ROOT/docker/compile.sh" "$target" "$PROFILE")
}

PROFILE=${PROFILE:-dist}
if [ "${1:-}" = compile ]; then
  compile
  exit
fi
check_prerequisites
BINARY=${ARCHWAY_STATIC_BIN:-}
[ -n "$BINARY" ] || compile
[ -x "$BINARY" ] || fail "$BINARY is missing or not executable"
export BINARY
isolated archway-image-test "$ROOT/docker/test-image-steps.sh"
