# shellcheck shell=bash
# Gives a script a machine of its own and removes it again. Network, mounts, host names and
# processes live in namespaces that the kernel tears down with the script, however it ends. The rest
# is removed here: the work folder and the control groups of its containers. Source this file.
#
#   isolated NAME SCRIPT    runs SCRIPT with bash as process 1 and ends with its status
#
# SCRIPT gets a fresh folder in WORK, with log/ in it, and a name for its control groups in CGROUP.
# `set_up` is called before it and `tear_down` after it, if the sourcing script defines them. KEEP=1
# keeps the folder.

# shellcheck disable=SC2317 # clean_up and its callees run from a trap

ISOLATED=

# Retries, because the control groups outlive the namespaces until their processes are gone.
remove_cgroups() {
  local groups until=$((SECONDS + 5))
  while groups=$(find /sys/fs/cgroup -depth -type d -path "*/$CGROUP*" 2>/dev/null) && [ -n "$groups" ]; do
    xargs rmdir <<<"$groups" 2>/dev/null || true
    [ "$SECONDS" -lt "$until" ] || return 0
    sleep 0.1
  done
}

clean_up() {
  trap '' INT TERM
  if [ -n "$ISOLATED" ]; then
    kill -KILL "$ISOLATED" 2>/dev/null || true
    wait "$ISOLATED" 2>/dev/null || true
  fi
  if declare -F tear_down >/dev/null; then tear_down; fi
  remove_cgroups
  if [ "${KEEP:-}" = 1 ]; then
    printf 'Kept: %s\n' "$WORK"
  else
    rm -rf --one-file-system "$WORK"
  fi
}

isolated() {
  local status=0
  # Use Debian's own programs, even if the machine has others of that name, and no proxy.
  export PATH=/usr/sbin:/usr/bin:/sbin:/bin
  unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY AWS_CA_BUNDLE
  WORK=$(mktemp -d "/tmp/$1.XXXXXX")
  CGROUP=$(basename "$WORK")
  export WORK CGROUP
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  mkdir "$WORK/log"
  if declare -F set_up >/dev/null; then set_up; fi
  # In the background, so that the traps above run at once. It ends with this shell, even if the
  # shell is killed.
  setpriv --pdeathsig KILL unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private \
    bash "$2" &
  ISOLATED=$!
  wait "$ISOLATED" || status=$?
  ISOLATED=
  exit "$status"
}
