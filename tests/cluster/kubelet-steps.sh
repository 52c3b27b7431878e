#!/usr/bin/env bash
# The first process of the namespaces of kubelet.sh and replicas.sh: everything of the node is the test's own.
set -euo pipefail

cp -a /etc "$WORK/etc"
mount --bind "$WORK/etc" /etc
rm -rf /etc/containerd /etc/docker
mount -t tmpfs none /run
ip link set lo up
cd "$WORK"
export PATH=$ROOT/.tools/bin:$PATH
exec "$ROOT/.tools/chart/bin/python" -B "$STEPS"
