# shellcheck shell=bash
# What the demo and the image test print, and how they fail: numbered steps, the reason for each, the commands
# as they are run. To be sourced; WORK/log must be there.

STEP=0
if [ -t 1 ]; then
  BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' PLAIN=$'\e[0m'
else
  BOLD='' DIM='' RED='' GREEN='' PLAIN=''
fi

# A new step: its title, then why it is done.
step() {
  STEP=$((STEP + 1))
  printf '\n%s%2d. %s%s  %s(%ds)%s\n' "$BOLD" $STEP "$1" "$PLAIN" "$DIM" $SECONDS "$PLAIN"
  shift
  [ $# = 0 ] || printf '    %s\n' "$@"
}

note() { printf '    %s\n' "$@"; }

# Shows a command without running it; the long value of ECR, where that is set, as $ECR.
shown() {
  local line="$*"
  [ -z "${ECR:-}" ] || line=${line//$ECR/\$ECR}
  printf '    %s$ %s%s\n' "$DIM" "$line" "$PLAIN"
}

# Runs a command quietly; what it printed is shown only when it fails.
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

# expect WHAT WANTED GOT: ends the script where something differs.
expect() {
  [ "$2" = "$3" ] || fail "$1: expected \"$2\", got \"$3\""
  good "$1: $3"
}

# until_true SECONDS WHAT COMMAND...: waits for a condition, not for a time.
until_true() {
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$until" ] || fail "waited in vain for $what"
    sleep 0.1
  done
}
