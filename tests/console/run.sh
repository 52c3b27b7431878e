#!/usr/bin/env bash
# The console in Debian's Chromium: see suite.mjs. Its pictures are in target/console/.
#
#   ARCHWAY_BIN     the binary to look at (default: target/debug/archway)
#   ARCHWAY_TOOLS   the folder of tests/tools/install.sh (default: .tools)
#   KEEP=1          keeps the folder with every log
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export ARCHWAY_TOOLS=${ARCHWAY_TOOLS:-$PWD/.tools}
for program in /usr/bin/chromium /usr/sbin/nginx "$ARCHWAY_TOOLS/console/node_modules/playwright-core/package.json"; do
  [ -e "$program" ] || { echo "run.sh: $program is missing; run tests/tools/install.sh console" >&2; exit 1; }
done
export PATH=$PATH:/usr/sbin
exec "$ARCHWAY_TOOLS/console/node" tests/console/suite.mjs "$@"
