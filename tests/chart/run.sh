#!/usr/bin/env bash
# The tests of the chart: Helm renders it, each Kubernetes' schemas judge it, Archway checks the
# config in it. No cluster takes part.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
for program in bin/helm bin/pod-security chart/bin/python; do
  [ -x .tools/$program ] || { echo "run.sh: .tools/$program is missing; run tests/tools/install.sh chart" >&2; exit 1; }
done
exec .tools/chart/bin/python -B tests/chart/check.py "$@"
