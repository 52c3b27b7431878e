#!/usr/bin/env bash
# `make demo`: a team pushes one image for two architectures to ECR, and a mixed cluster pulls it by one name
# through Archway. Everything in it is real but ECR itself (tests/standin) and the Arm processor (qemu).
# Ends non-zero if anything differs from what the story says, and leaves nothing behind.
#
#   ARCHWAY_BIN     the binary to show (default: target/release/archway)
#   ARCHWAY_TOOLS   where tests/tools/install.sh put its programs (default: .tools)
#   KEEP=1          keep the work folder, with every log in it
# shellcheck disable=SC2317 # set_up and tear_down are called by isolated.sh
set -euo pipefail

DEMO=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$DEMO/../.." && pwd)
export DEMO ROOT
export TOOLS=${ARCHWAY_TOOLS:-$ROOT/.tools}
export ARCHWAY=${ARCHWAY_BIN:-$ROOT/target/release/archway}
BINFMT_ENTRY=archway-demo-$$

# shellcheck source=tests/tools/isolated.sh
. "$ROOT/tests/tools/isolated.sh"

fail() {
  printf 'demo: %s\n' "$*" >&2
  exit 1
}

check_prerequisites() {
  local program
  [ "$(id -u)" = 0 ] || fail "needs root: it makes network namespaces and runs containers"
  [ -x "$ARCHWAY" ] || fail "$ARCHWAY is missing: cargo build --release --locked -p archway"
  for program in "$TOOLS"/bin/{containerd,ctr,containerd-shim-runc-v2} "$TOOLS/venv/bin/ministack" \
    /usr/sbin/dockerd /usr/sbin/runc /usr/bin/{docker,docker-registry,aws,htpasswd,jq,curl,openssl} \
    /usr/bin/{gcc,aarch64-linux-gnu-gcc,qemu-aarch64-static,unshare,nsenter,setpriv}; do
    [ -x "$program" ] || fail "$program is missing: tests/tools/install.sh demo"
  done
}

# The kernel's table of foreign programs belongs to no namespace. An entry of the demo's own, which goes before any
# other, makes it run Arm programs, in containers too.
set_up() {
  mkdir "$WORK/binfmt"
  mount -t binfmt_misc none "$WORK/binfmt"
  sed "s/^:qemu-aarch64:/:$BINFMT_ENTRY:/" /usr/lib/binfmt.d/qemu-aarch64.conf >"$WORK/binfmt/register"
}

tear_down() {
  [ ! -e "$WORK/binfmt/$BINFMT_ENTRY" ] || printf '%s' -1 >"$WORK/binfmt/$BINFMT_ENTRY"
  ! mountpoint -q "$WORK/binfmt" || umount "$WORK/binfmt"
}

check_prerequisites
isolated archway-demo "$DEMO/story.sh"
