# shellcheck shell=bash
# A dockerd of one's own, for a script that isolated.sh started: its own data, sockets and containerd, no set-up of
# networks. Nothing of the machine's own Docker is seen or touched. To be sourced after say.sh.

export DOCKER_HOST=unix://$WORK/docker/docker.sock DOCKER_CONFIG=$WORK/docker/client

hide_docker() {
  mount -t tmpfs none /run
  [ ! -d /etc/docker ] || mount -t tmpfs none /etc/docker
}

# Starts it; $1, where there is one, is more for its daemon.json.
# shellcheck disable=SC2120 # most need no more
start_docker() {
  mkdir -p "$DOCKER_CONFIG"
  cat >"$WORK/docker/daemon.json" <<JSON
{
  "data-root": "$WORK/docker/data", "exec-root": "$WORK/docker/exec", "pidfile": "$WORK/docker/pid",
  "hosts": ["$DOCKER_HOST"], "storage-driver": "vfs", "bridge": "none", "iptables": false,
  ${1:+$1,}
  "cgroup-parent": "/$CGROUP"
}
JSON
  dockerd --config-file "$WORK/docker/daemon.json" >"$WORK/log/dockerd.log" 2>&1 &
  DOCKERD=$!
  until_true 30 dockerd docker version
}

stop_docker() {
  kill "$DOCKERD"
  wait "$DOCKERD" || fail "dockerd did not end well"
}
