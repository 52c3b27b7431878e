# shellcheck shell=bash
# The output of the demo and the image test: numbered steps, the reason for each, the commands they
# run, and their failures. Source this file; WORK/log must exist.

STEP=0
if [ -t 1 ]; then
  BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' PLAIN=$'\e[0m'
else
  BOLD='' DIM='' RED='' GREEN='' PLAIN=''
fi

# Begins a step: its title, then the reason for it.
step() {
  STEP=$((STEP + 1))
  printf '\n%s%2d. %s%s  %s(%ds)%s\n' "$BOLD" $STEP "$1" "$PLAIN" "$DIM" $SECONDS "$PLAIN"
  shift
  [ $# = 0 ] || printf '    %s\n' "$@"
}

note() { printf '    %s\n' "$@"; }

# Shows a command without running it. The long value of ECR, if set, appears as $ECR.
shown() {
  local line="$*"
  [ -z "${ECR:-}" ] || line=${line//$ECR/\$ECR}
  printf '    %s$ %s%s\n' "$DIM" "$line" "$PLAIN"
}

# Runs a command quietly and shows its output only if it fails.
quietly() {
  local log
  log=$(mktemp "$WORK/log/command.XXXXXX")
  "$@" >"$log" 2>&1 || {
    indent <"$log" >&2
    fail "failed: $*"
  }
}

# Shows a command and runs it quietly.
run() {
  shown "$*"
  quietly "$@"
}

indent() { sed 's/^/      /'; }

good() { printf '    %s✓%s %s\n' "$GREEN" "$PLAIN" "$*"; }

fail() {
  printf '\n%s✗ %s%s\n' "$RED" "$*" "$PLAIN" >&2
  exit 1
}

# expect WHAT WANTED GOT: ends the script if WANTED and GOT differ.
expect() {
  [ "$2" = "$3" ] || fail "$1: expected \"$2\", got \"$3\""
  good "$1: $3"
}

# until_true SECONDS WHAT COMMAND...: waits until COMMAND succeeds, and fails after SECONDS.
until_true() {
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$until" ] || fail "timed out waiting for $what"
    sleep 0.1
  done
}
