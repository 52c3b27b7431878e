# shellcheck shell=bash
# A dockerd of its own, for a script that isolated.sh started: with its own data, sockets and
# containerd, and without networks. It neither sees nor touches the machine's Docker. Source it
# after say.sh.

export DOCKER_HOST=unix://$WORK/docker/docker.sock DOCKER_CONFIG=$WORK/docker/client

hide_docker() {
  mount -t tmpfs none /run
  [ ! -d /etc/docker ] || mount -t tmpfs none /etc/docker
}

# Starts it. $1, if given, is added to its daemon.json.
# shellcheck disable=SC2120 # most callers add nothing
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
  wait "$DOCKERD" || fail "dockerd ended with an error"
}
