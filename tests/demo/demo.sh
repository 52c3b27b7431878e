#!/usr/bin/env bash
# `make demo`: a team pushes one image for two architectures to ECR, and a mixed cluster pulls it by
# one name through Archway. Everything is real except ECR itself (tests/standin) and the Arm
# processor (qemu). The exit status is not 0 if anything differs from the story. Nothing is left
# behind.
#
#   ARCHWAY_BIN     the binary to show (default: target/release/archway)
#   ARCHWAY_TOOLS   the folder of tests/tools/install.sh (default: .tools)
#   KEEP=1          keeps the work folder with every log
# shellcheck disable=SC2317 # set_up and tear_down are called by isolated.sh
set -euo pipefail

DEMO=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$DEMO/../.." && pwd)
export DEMO ROOT
export TOOLS=${ARCHWAY_TOOLS:-$ROOT/.tools}
export ARCHWAY=${ARCHWAY_BIN:-$ROOT/target/release/archway}

# shellcheck source=tests/tools/isolated.sh
. "$ROOT/tests/tools/isolated.sh"
# shellcheck source=tests/tools/arm_programs.sh
. "$ROOT/tests/tools/arm_programs.sh"

fail() {
  printf 'demo: %s\n' "$*" >&2
  exit 1
}

check_prerequisites() {
  local program
  [ "$(id -u)" = 0 ] || fail "must run as root, because it makes network namespaces and runs containers"
  [ -x "$ARCHWAY" ] || fail "$ARCHWAY is missing; run cargo build --release --locked -p archway"
  for program in "$TOOLS"/bin/{containerd,ctr,containerd-shim-runc-v2} "$TOOLS/venv/bin/ministack" \
    /usr/sbin/dockerd /usr/sbin/runc /usr/bin/{docker,docker-registry,aws,htpasswd,jq,curl,openssl} \
    /usr/bin/{gcc,aarch64-linux-gnu-gcc,qemu-aarch64-static,unshare,nsenter,setpriv}; do
    [ -x "$program" ] || fail "$program is missing; run tests/tools/install.sh demo"
  done
}

set_up() { run_arm_programs "archway-demo-$$"; }
tear_down() { forget_arm_programs; }

check_prerequisites
isolated archway-demo "$DEMO/story.sh"
