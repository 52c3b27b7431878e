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

# beside NAME COMMAND...: starts a command that runs beside what follows; `finish NAME` waits for it.
# Each has a process group of its own, so that it can be ended with all its children. It gets no
# session of its own: there its niceness would not count against the tests.
declare -A running
beside() {
  local name=$1
  shift
  set -m
  "$@" > "$LOGS/$name.log" 2>&1 < /dev/null &
  running[$name]=$!
  set +m
}
finish() {
  local name=$1
  say "$name: waiting for its end"
  local code=0
  wait "${running[$name]}" || code=$?
  unset "running[$name]"
  [ "$code" = 0 ] && return
  echo "make test: \"$name\" failed; its end, of $LOGS/$name.log:" >&2
  tail -n 20 "$LOGS/$name.log" >&2
  return 1
}
end_all() {
  local name
  for name in "${!running[@]}"; do
    # A package manager that is cut leaves the system half installed.
    [ "$name" = install ] || kill -- -"${running[$name]}" 2> /dev/null
    wait "${running[$name]}" 2> /dev/null
  done
}
trap end_all EXIT

mkdir -p $LOGS
need "installing what building needs" tests/tools/install.sh build
# Mostly waiting for downloads, so beside our own compiling.
beside install nice -n 10 tests/tools/install.sh all
# The whole workspace each time: of a part of it some dependencies want fewer features, and would be
# compiled again.
need "building archway" cargo build --locked --workspace --all-targets
suite unit cargo test --locked --workspace --exclude integration-tests --no-fail-fast
finish install || exit 1
# The tests wait for time more than for a core, so the image's binary is compiled beside them, with
# the processor time that they leave. What is shipped has another profile (`make image`): its link
# alone takes four minutes of one core, and no test of the image asks for speed.
export PROFILE=${PROFILE:-release}
# Then the one for arm64, which qemu runs.
# shellcheck disable=SC2016 # expanded by the inner bash
beside image-compile nice -n 19 bash -euc '
  [ -n "${ARCHWAY_STATIC_BIN:-}" ] || docker/test-image.sh compile
  [ -n "${ARCHWAY_ARM64_BIN:-}" ] || tests/arm64/run.sh compile'
suite integration cargo test --locked --workspace --test it
suite clients cargo test --locked --workspace --test clients
suite chart tests/chart/run.sh
suite ops tests/ops/run.sh
suite console tests/console/run.sh
script conformance tests/conformance/run.sh
script node-kills python3 -B tests/cluster/killed.py
finish image-compile || failed+=(image-compile)
export ARCHWAY_ARM64_BIN=${ARCHWAY_ARM64_BIN:-$PWD/target/arm64/aarch64-unknown-linux-gnu/debug/archway}
script arm64 tests/arm64/run.sh
script image docker/test-image.sh
# The demo runs the image's binary.
export ARCHWAY_BIN=${ARCHWAY_STATIC_BIN:-$PWD/target/$(uname -m)-unknown-linux-gnu/$PROFILE/archway}
script demo tests/demo/demo.sh
# Those whose bounds are no times: `make attacks` has all, on a machine that does nothing else.
script attacks tests/attacks/run.sh --only pages,two-upstreams,ahead

say "summary"
printf '%s\n' "${summary[@]}"
if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}; the logs are in $LOGS" >&2
  exit 1
fi
