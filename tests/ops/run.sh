#!/usr/bin/env bash
# The tests of ops/: promtool's cases for each alert, and every expression of rules and dashboard against
# a live Archway under load, scraped by a Prometheus on loopback.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
for program in prometheus promtool openssl; do
  command -v $program > /dev/null || { echo "run.sh: $program is missing; run tests/tools/install.sh ops" >&2; exit 1; }
done
promtool check rules ops/prometheus/rules.yaml
promtool test rules ops/prometheus/tests/*.yaml
exec python3 -B tests/ops/check.py "$@"
