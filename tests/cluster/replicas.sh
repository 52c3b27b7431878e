#!/usr/bin/env bash
# Three Archways with the chart's own config for replicas and a bucket, as processes: replicas.py has the steps.
# tests/cluster/run.sh runs it, with the binary of ARCHWAY_BIN, else target/debug/archway.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export ROOT
export ARCHWAY=${ARCHWAY_BIN:-$ROOT/target/debug/archway}
export STEPS=$ROOT/tests/cluster/replicas.py

# shellcheck source=tests/tools/isolated.sh
. "$ROOT/tests/tools/isolated.sh"

for program in "$ARCHWAY" "$ROOT"/.tools/{bin/helm,venv/bin/ministack}; do
  [ -x "$program" ] || { echo "replicas.sh: $program is missing; run tests/tools/install.sh cluster" >&2; exit 1; }
done
isolated archway-replicas "$ROOT/tests/cluster/kubelet-steps.sh"
