#!/usr/bin/env bash
# The first process of the namespaces of run.sh.
set -euo pipefail

ip link set lo up
cd "$WORK"
exec python3 -B "$ROOT/tests/arm64/steps.py"
