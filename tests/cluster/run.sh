#!/usr/bin/env bash
# The chart, the node list and the startup taint before a real API server: `make soak` runs it, with the
# binary of ARCHWAY_BIN, else target/debug/archway. Building kube-apiserver takes six minutes
# of both cores once, the tests two more.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
tests/tools/install.sh cluster
.tools/chart/bin/python -B tests/cluster/api.py
.tools/chart/bin/python -B tests/cluster/nodes.py
tests/cluster/replicas.sh
tests/cluster/kubelet.sh kubelet
tests/cluster/kubelet.sh dead_mirror
tests/cluster/kubelet.sh probe_pods
