#!/usr/bin/env bash
# The part of run.sh that is process 1 of its own machine.
set -euo pipefail

ip link set lo up
ulimit -n "$(ulimit -H -n)"
cd "$ATTACKS_DIRECTORY"
eval "$ATTACKS_COMMAND"
