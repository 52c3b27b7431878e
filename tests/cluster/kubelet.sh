#!/usr/bin/env bash
# A real kubelet with containerd 2.4 as it comes, and before it the chart's pod of node mode as a static pod
# (kubelet.py; dead_mirror.py where it is none, or no longer one), or a cluster whose nodes are probed by pods
# (probe_pods.py). tests/cluster/run.sh runs all, with the binary of ARCHWAY_BIN, else target/debug/archway.
#
#   kubelet.sh kubelet|dead_mirror|probe_pods
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export ROOT
export ARCHWAY=${ARCHWAY_BIN:-$ROOT/target/debug/archway}
export STEPS=$ROOT/tests/cluster/${1:?kubelet, dead_mirror or probe_pods}.py

# shellcheck source=tests/tools/isolated.sh
. "$ROOT/tests/tools/isolated.sh"

for program in "$ARCHWAY" "$ROOT"/.tools/bin/{kubernetes,containerd,ctr,cri-pull,containerd-shim-runc-v2,helm} /usr/sbin/runc /usr/bin/gcc; do
  [ -x "$program" ] || { echo "kubelet.sh: $program is missing; run tests/tools/install.sh cluster" >&2; exit 1; }
done
isolated "archway-$1" "$ROOT/tests/cluster/kubelet-steps.sh"
