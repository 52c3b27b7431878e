# shellcheck shell=bash
# The two nodes of the demo, each a network namespace on the demo's own bridge with its own
# containerd. A node knows registries only from one hosts.toml that points at Archway. ECR's name
# does not resolve there, and the node can reach no address but Archway's. Sourced by story.sh.

declare -A ADDRESS=([x86]=10.77.0.11 [arm]=10.77.0.12)
declare -A NODE_PID=()
declare -A HEADER_NOTE=([x86]=", without the header" [arm]=", its hosts.toml as above")
declare -A PLATFORM=([x86]=linux/amd64 [arm]=linux/arm64)
# The x86 node names no platform to Archway, and need not.
declare -A DOCTOR_FLAGS=([x86]="" [arm]="--platform linux/arm64")

make_network() {
  ip link set lo up
  ip link add cluster type bridge
  ip address add "$GATEWAY/24" dev cluster
  ip link set cluster up
}

make_nodes() {
  write_hosts_toml x86
  write_hosts_toml arm --platform linux/arm64
  shown "archway client-config containerd --server $ARCHWAY_URL --registries \$ECR --platform linux/arm64"
  indent <"$WORK/arm/containerd/certs.d/$REGISTRY/hosts.toml"
  for node in x86 arm; do
    connect_node $node
    start_node $node
    good "$node node: ${ADDRESS[$node]}${HEADER_NOTE[$node]}"
  done
}

# Puts a node on the bridge.
connect_node() {
  local node=$1
  ip netns add "$node"
  ip link add "to-$node" type veth peer name eth0 netns "$node"
  ip link set "to-$node" master cluster up
  ip -n "$node" address add "${ADDRESS[$node]}/24" dev eth0
  ip -n "$node" link set eth0 up
  ip -n "$node" link set lo up
}

# write_hosts_toml NODE FLAG...: has Archway write the node's hosts.toml, below what is its /etc/containerd.
write_hosts_toml() {
  local node=$1 tree=$WORK/$1/written
  shift
  rm -rf "$tree" "$WORK/$node/containerd/certs.d"
  mkdir -p "$WORK/$node/containerd"
  quietly "$ARCHWAY" client-config containerd --server "$ARCHWAY_URL" --registries "$REGISTRY" "$@" -o "$tree"
  mv "$tree/etc/containerd/certs.d" "$WORK/$node/containerd/"
}

# The /etc/containerd/config.toml of a node. Unlike the containerds of the matrix it answers a kubelet.
write_node_toml() {
  cat >"$1/containerd/config.toml" <<TOML
version = 3
root = "$1/root"
state = "$1/state"

[grpc]
  address = "$1/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
  path = "$1/opt"

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "native"
  use_local_image_pull = true

[plugins."io.containerd.cri.v1.images".registry]
  config_path = "/etc/containerd/certs.d"

# The platform that this machine unpacks by default.
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "$2"
  snapshotter = "native"
  differ = "walking"
TOML
}

# write_containerd_toml DIR PLATFORM: the configuration of a containerd with all its data in DIR,
# for both releases.
write_containerd_toml() {
  mkdir -p "$1"
  cat >"$1/containerd.toml" <<TOML
version = 2
root = "$1/root"
state = "$1/state"
disabled_plugins = ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"]

[grpc]
  address = "$1/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
  path = "$1/opt"

# The platform that this machine unpacks by default.
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "$2"
  snapshotter = "native"
  differ = "walking"
TOML
}

# Starts a node with its own host name, /run, /etc/containerd, empty /etc/hosts and containerd.
start_node() {
  local node=$1 dir=$WORK/$1
  write_node_toml "$dir" "${PLATFORM[$node]}"
  # shellcheck disable=SC2016 # expanded by the inner bash
  PATH=$TOOLS/bin:$PATH nsenter --net="/run/netns/$node" unshare --mount --uts --propagation private bash -c '
    hostname "$1"
    mount -t tmpfs none /run
    mount --bind /dev/null /etc/hosts
    mount --bind "$2/containerd" /etc/containerd
    exec containerd --config /etc/containerd/config.toml' node "$node" "$dir" >"$WORK/log/containerd-$node.log" 2>&1 &
  NODE_PID[$node]=$!
  until_true 20 "containerd of $node" node_ctr "$node" version
}

# on_node NODE COMMAND...: runs a command there.
on_node() {
  local node=$1
  shift
  nsenter --target "${NODE_PID[$node]}" --mount --net --uts "$@"
}

# node_ctr NODE ...: runs ctr on that node. containerd 2 warns on each call on a machine with
# cgroups v1.
node_ctr() { on_node "$1" "$TOOLS/bin/ctr" --address "$WORK/$1/containerd.sock" "${@:2}"; }

# Has each node say whether it uses Archway: by its files, and by a pull that nobody else can answer.
doctor_says() {
  local node
  for node in x86 arm; do
    shown "[$node] archway doctor clients --node --probe --server $ARCHWAY_URL ${DOCTOR_FLAGS[$node]}"
    # shellcheck disable=SC2086 # a flag and its value
    on_node "$node" "$ARCHWAY" doctor clients --node --probe --server "$ARCHWAY_URL" --admin "http://$GATEWAY:9464" \
      --cri-socket "$WORK/$node/containerd.sock" --registries "$REGISTRY" ${DOCTOR_FLAGS[$node]} \
      >"$WORK/$node/doctor" 2>&1 || {
      indent <"$WORK/$node/doctor" >&2
      fail "the $node node does not use Archway"
    }
    indent <"$WORK/$node/doctor"
    good "the $node node uses Archway"
  done
}

# Pulls as the node would. Step 8 of the story explains why it names the platform.
pull() {
  local node=$1
  shown "[$node] ctr images pull --hosts-dir /etc/containerd/certs.d --platform ${PLATFORM[$node]} $IMAGE"
  quietly node_ctr "$node" images pull --snapshotter native --hosts-dir /etc/containerd/certs.d \
    --platform "${PLATFORM[$node]}" "$IMAGE"
}

# The digests of all content of a node.
content() { node_ctr "$1" content ls -q 2>/dev/null | sort; }

# The digest that a node recorded for the tag.
target_digest() { node_ctr "$1" images ls "name==$IMAGE" 2>/dev/null | awk 'NR == 2 { print $3 }'; }

# run_on NODE NAME PORT: starts the pulled image under NAME and waits until it answers at PORT.
run_on() {
  local node=$1 name=$2 port=$3
  shown "[$node] ctr run --detach --net-host --platform ${PLATFORM[$node]} $IMAGE $name"
  quietly node_ctr "$node" run --detach --net-host --snapshotter native --platform "${PLATFORM[$node]}" \
    --cgroup "/$CGROUP/$node-$name" "$IMAGE" "$name"
  until_true 10 "$name on $node" curl -sf "http://${ADDRESS[$node]}:$port/hello"
}

# stop_on NODE NAME: stops the container that run_on started and removes it.
stop_on() {
  local node=$1 name=$2
  quietly node_ctr "$node" task kill --signal KILL "$name"
  until_true 10 "the end of $name on $node" has_stopped "$node" "$name"
  quietly node_ctr "$node" task delete "$name"
  quietly node_ctr "$node" container delete "$name"
}

has_stopped() { node_ctr "$1" task ls | grep "^$2 .*STOPPED" >/dev/null; }

# Stops hello and removes its image and all content from the node.
remove_hello() {
  local node=$1
  stop_on "$node" hello
  shown "[$node] ctr images rm --sync $IMAGE"
  quietly node_ctr "$node" images rm --sync "$IMAGE"
  expect "pieces of content left on $node" 0 "$(content "$node" | wc -l)"
}
