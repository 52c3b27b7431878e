#!/usr/bin/env bash
# Makes the picture of the console in the README: docs/images/console.png.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export ARCHWAY_TOOLS=${ARCHWAY_TOOLS:-$PWD/.tools} PATH=$PATH:/usr/sbin
mkdir -p docs/images
exec "$ARCHWAY_TOOLS/console/node" tests/console/picture.mjs docs/images/console.png
