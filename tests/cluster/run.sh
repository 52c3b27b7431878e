#!/usr/bin/env bash
# The chart before a real API server: `make soak` runs it. Building kube-apiserver takes six minutes
# of both cores once, the tests ten seconds.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
tests/tools/install.sh cluster
.tools/chart/bin/python -B tests/cluster/api.py "$@"
