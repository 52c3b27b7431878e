#!/usr/bin/env bash
# `make test`: installs what the tests need, builds, runs every suite, and says how many tests of each kind ran.
# A failed suite does not keep the others from running; any failure makes the whole run fail.
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
LOGS=target/test-logs
STARTED=$SECONDS
failed=()
summary=()

say() { printf '\n== [%4ds] %s\n' "$((SECONDS - STARTED))" "$*"; }

need() {
  say "$1"
  shift
  "$@" || { echo "make test: \"$*\" failed, so nothing could be tested" >&2; exit 1; }
}

# Runs a suite of cargo's and adds up the counts of its binaries.
suite() {
  local name=$1 log=$LOGS/$1.log
  shift
  say "$name tests"
  "$@" 2>&1 | tee "$log"
  [ "${PIPESTATUS[0]}" = 0 ] || failed+=("$name")
  summary+=("$(awk -v name="$name" '/^test result:/ { passed += $4; failed += $6; ran = 1 }
    END { if (!ran) failed = 1; printf "%s: %d passed, %d failed", name, passed, failed }' "$log")")
}

# Runs a script that is one test by itself.
script() {
  local name=$1 log=$LOGS/$1.log
  shift
  say "$name"
  if "$@" 2>&1 | tee "$log"; then
    summary+=("$name: 1 passed, 0 failed")
  else
    failed+=("$name")
    summary+=("$name: 0 passed, 1 failed")
  fi
}

mkdir -p $LOGS
need "installing what the tests need" tests/tools/install.sh all
# The whole workspace each time: of a part of it some dependencies want fewer features, and would be compiled again.
need "building archway" cargo build --locked --workspace --all-targets
suite unit cargo test --locked --workspace --exclude integration-tests
suite integration cargo test --locked --workspace --test it
# The image's binary takes longest to compile, much of it on one core. The real clients wait for time more than for a core, so it
# is compiled beside them, on what they leave. The image test waits for its end.
if [ -z "${ARCHWAY_STATIC_BIN:-}" ]; then
  # A process group of its own, to be ended as one; in a session of its own it would not count as nicer than this one.
  set -m
  nice -n 19 docker/test-image.sh compile > $LOGS/image-compile.log 2>&1 &
  compiling=$!
  set +m
  trap 'kill -- -"$compiling" 2> /dev/null' EXIT
fi
suite clients cargo test --locked --workspace --test clients
script conformance tests/conformance/run.sh
script image docker/test-image.sh
# The image test has compiled the binary of a release; the demo shows that one.
ARCHWAY_BIN=${ARCHWAY_STATIC_BIN:-$PWD/target/$(uname -m)-unknown-linux-gnu/dist/archway} script demo tests/demo/demo.sh

say "summary"
printf '%s\n' "${summary[@]}"
if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}; the logs are in $LOGS" >&2
  exit 1
fi
