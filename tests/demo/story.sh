#!/usr/bin/env bash
# The story of `make demo`, step by step. demo.sh starts it as the first process of its own
# namespaces. The parts: team.sh (the team, with docker and ECR), node.sh (the two nodes),
# greeting.sh (a tag for each architecture), report.py (the table of requests), matrix.sh and
# matrix.py (every client, every answer), airgap.sh (the same image at a site without a way out).
set -euo pipefail

REGION=us-east-1
REGISTRY=123456789012.dkr.ecr.$REGION.amazonaws.com
ECR=$REGISTRY
IMAGE=$ECR/hello:latest
ARCHITECTURES=(amd64 arm64)
GATEWAY=10.77.0.1
ARCHWAY_URL=http://$GATEWAY:5000
INDEX_TYPE=application/vnd.docker.distribution.manifest.list.v2+json
MANIFEST_TYPE=application/vnd.docker.distribution.manifest.v2+json
STANDIN=$ROOT/tests/standin/standin.sh
export ARCHWAY_TOOLS=$TOOLS

# shellcheck source=tests/tools/say.sh
. "$ROOT/tests/tools/say.sh"
# shellcheck source=tests/tools/dockerd.sh
. "$ROOT/tests/tools/dockerd.sh"
# shellcheck source=tests/demo/team.sh
. "$DEMO/team.sh"
# shellcheck source=tests/demo/node.sh
. "$DEMO/node.sh"
# shellcheck source=tests/demo/greeting.sh
. "$DEMO/greeting.sh"
# shellcheck source=tests/demo/matrix.sh
. "$DEMO/matrix.sh"
# shellcheck source=tests/demo/airgap.sh
. "$DEMO/airgap.sh"

# Hides the machine's Docker, and makes the demo's names the only ones that resolve.
make_private() {
  hide_docker
  { printf '127.0.0.1 localhost\n' && "$STANDIN" hosts; } >"$WORK/hosts"
  mount --bind "$WORK/hosts" /etc/hosts
  make_network
}

# Puts ECR's addresses on this side of the bridge, where the nodes have no route to them.
place_ecr() {
  local address
  for address in $("$STANDIN" hosts | cut -d' ' -f1); do
    ip address add "$address/32" dev lo
  done
}

# Starts ECR. From here on its authority is trusted like the public ones, and the AWS credentials
# are those of its account.
start_ecr() {
  place_ecr
  NAMES=1 "$STANDIN" up "$WORK/ecr"
  set -a
  # shellcheck source=/dev/null
  . "$WORK/ecr/standin.env"
  set +a
  export SSL_CERT_FILE=$WORK/ecr/ca.pem AWS_CA_BUNDLE=$WORK/ecr/ca.pem CURL_CA_BUNDLE=$WORK/ecr/ca.pem
  export AWS_EC2_METADATA_DISABLED=true
}

ecr_answers() { curl -s -o /dev/null "https://$REGISTRY/v2/"; }

# The content of ECR as lines "ROLE DIGEST SIZE", requested before the counting begins.
list_parts() {
  local credentials=(-u "AWS:$(cat "$WORK/ecr/token")") url=https://$REGISTRY/v2/hello/manifests arch digest
  curl -sf "${credentials[@]}" -H "Accept: $INDEX_TYPE" "$url/latest" >"$WORK/index.json"
  printf 'index %s %s\n' "$(digest_of <"$WORK/index.json")" "$(stat -c %s "$WORK/index.json")"
  for arch in "${ARCHITECTURES[@]}"; do
    digest=$(child "$arch")
    curl -sf "${credentials[@]}" -H "Accept: $MANIFEST_TYPE" "$url/$digest" >"$WORK/$arch.json"
    jq -r --arg arch "$arch" --arg digest "$digest" '.manifests[] | select(.digest == $digest)
      | "manifest/\($arch) \(.digest) \(.size)"' "$WORK/index.json"
    jq -r --arg arch "$arch" '"config/\($arch) \(.config.digest) \(.config.size)",
      (.layers[] | "layer/\($arch) \(.digest) \(.size)")' "$WORK/$arch.json"
  done
}

# The digest of an architecture's manifest in the index.
child() {
  jq -r --arg arch "$1" '.manifests[] | select(.platform.architecture == $arch) | .digest' "$WORK/index.json"
}

digest_of() { printf 'sha256:%s\n' "$(sha256sum | cut -d' ' -f1)"; }

digest_of_index() { awk '$1 == "index" { print $2 }' "$WORK/parts"; }

start_archway() {
  cat >"$WORK/archway.toml" <<TOML
[[listener]]
address = "$GATEWAY:5000"

[admin]
address = "$GATEWAY:9464"    # where a node gets a name to prove its mirror with

[log]
format = "json"

[cache]
path = "$WORK/cache"

[platform]
default = "linux/amd64"      # for clients that accept no index and do not name their platform

[upstream."$REGISTRY"]
auth = "ecr"                 # the token comes from the ECR API, with the AWS SDK's usual credentials
tag_ttl = "1s"               # short, so that the tag is stale in the outage below
TOML
  greeting_rule >>"$WORK/archway.toml"
  indent <"$WORK/archway.toml"
  "$ARCHWAY" serve --config "$WORK/archway.toml" >"$WORK/log/archway.out" 2>"$WORK/log/archway.log" &
  ARCHWAY_PID=$!
  until_true 20 "Archway to start" archway_settled
  archway_listens >/dev/null || {
    indent <"$WORK/log/archway.log" >&2
    fail "Archway did not start"
  }
}

# start_another NAME ADDRESS: starts another Archway with the same configuration and its own cache,
# independent of the first.
start_another() {
  local name=$1 address=$2
  sed -e "s|$GATEWAY:5000|$address|" -e "s|$WORK/cache|$WORK/$name-cache|" \
    -e "s|$GATEWAY:9464|off|" "$WORK/archway.toml" >"$WORK/$name.toml"
  "$ARCHWAY" serve --config "$WORK/$name.toml" >"$WORK/log/$name.out" 2>"$WORK/log/$name.log" &
  until_true 20 "$name to start" curl -sf "http://$address/v2/"
}

archway_settled() { archway_listens || ! kill -0 "$ARCHWAY_PID"; }

archway_listens() {
  jq -r 'select(.message == "listening" and .listener == "registry") | .address' "$WORK/log/archway.log" | grep .
}

tag_is_stale() {
  curl -sf -I "$ARCHWAY_URL/v2/hello/manifests/latest?ns=$REGISTRY" | grep -i '^Archway-Cache: stale' >/dev/null
}

# A client from before indexes: it accepts only an image manifest, then fetches its config and
# layers.
old_client() {
  local arch=$1 dir=$WORK/old-client/$1 digest got
  shift
  mkdir -p "$dir"
  shown "curl -H 'Accept: $MANIFEST_TYPE'${2:+ -H \"$2\"} .../hello/manifests/latest"
  curl -sf -H "Accept: $MANIFEST_TYPE" "$@" "$ARCHWAY_URL/v2/hello/manifests/latest?ns=$REGISTRY" >"$dir/manifest"
  expect "it got the manifest of $arch" "$(child "$arch")" "$(digest_of <"$dir/manifest")"
  child "$arch" >"$dir/content"
  for digest in $(jq -r '.config.digest, .layers[].digest' "$dir/manifest"); do
    got=$(curl -sf "$ARCHWAY_URL/v2/hello/blobs/$digest?ns=$REGISTRY" | digest_of)
    [ "$got" = "$digest" ] || fail "blob $digest arrived as $got"
    printf '%s\n' "$digest" >>"$dir/content"
  done
}

# Requests both nodes in turn, as a load balancer in front of the cluster would.
round_robin() {
  local turn node answer
  local -A machine=([x86]=x86_64 [arm]=aarch64)
  for turn in 1 2 3; do
    for node in x86 arm; do
      answer=$(curl -sf "http://${ADDRESS[$node]}:8080/hello")
      [ "$(jq -r '.arch + " " + .message' <<<"$answer")" = "${machine[$node]} Hello, there!" ] ||
        fail "$node answered $answer"
      printf '      %d. %-4s %s\n' "$turn" "$node" "$answer"
    done
  done
}

pull_and_run_everywhere() {
  local node
  for node in x86 arm; do
    pull "$node"
    run_on "$node" hello 8080
  done
  round_robin
}

old_clients() {
  old_client amd64
  old_client arm64 -H 'Archway-Platform: linux/arm64'
}

prologue() {
  make_private
  step "ECR, the stand-in" "docker-registry on an S3 with pre-signed URLs, an ECR API and TLS, under Amazon's names."
  start_ecr
  good "https://$REGISTRY/v2/ answers; shown as \$ECR below"

  step "The team builds hello for two architectures" "Static C; GET /hello names the machine it runs on."
  start_docker
  build_hello
  step "The team pushes them to ECR" "The way ECR's users do: the token comes from the aws command."
  push_hello
  step "One name for both" "A manifest list: hello:latest is the image that fits the machine."
  push_index
  step "Another image, the old way" "A tag for each architecture, and none for both."
  push_greeting
  stop_docker
  list_parts >"$WORK/parts"
  "$STANDIN" mark "$WORK/ecr"
}

first_pulls() {
  step "Archway in front of ECR" "From here on every request to ECR is counted."
  start_archway
  good "listens on $GATEWAY:5000"

  step "A cluster of two nodes" "Each has its own network and its own containerd." \
    "Its only registry configuration is one hosts.toml, which Archway writes. No node can reach ECR itself."
  make_nodes

  step "Both run hello:latest" \
    "The x86 node takes the index and chooses itself. The Arm node names its platform in a header," \
    "so Archway chooses for it. This machine has no Arm processor: qemu runs that hello, and ctr gets" \
    "the node's platform as an option, because it would use the processor it finds."
  pull_and_run_everywhere
  expect "the x86 node records the index" "$(digest_of_index)" "$(target_digest x86)"
  expect "the Arm node records its own manifest" "$(child arm64)" "$(target_digest arm)"
  content x86 >"$WORK/x86/content"
  content arm >"$WORK/arm/content"

  step "A client that knows no indexes" "It gets an image manifest: of the default platform, or of the one in its header."
  old_clients
  "$STANDIN" counts "$WORK/ecr" >"$WORK/counts"
}

outage() {
  step "ECR goes away"
  "$STANDIN" down "$WORK/ecr"
  ! ecr_answers || fail "ECR still answers"
  good "nothing answers at https://$REGISTRY any more"
  until_true 10 "the tag to become stale" tag_is_stale
  good "the tag has expired and cannot be revalidated: Archway serves it stale"

  step "Both nodes lose the image and pull it again" "Everything comes out of Archway's cache."
  remove_hello x86
  remove_hello arm
  pull_and_run_everywhere
  expect "the x86 node has the same content again" "$(wc -l <"$WORK/x86/content") parts" "$(same_parts x86)"
  expect "the Arm node has the same content again" "$(wc -l <"$WORK/arm/content") parts" "$(same_parts arm)"
  old_clients
}

# The number of parts that a node had before the outage and has again.
same_parts() { printf '%d parts\n' "$(content "$1" | comm -12 - "$WORK/$1/content" | wc -l)"; }

main() {
  prologue
  first_pulls
  per_architecture_tags
  outage
  step "The requests it took"
  python3 "$DEMO/report.py" "$WORK" || fail "the figures differ from the promised ones"
  matrix
  air_gap
  step "Do the nodes really use Archway?" \
    "By their files, and by a pull of archway-probe/NONCE, which only the Archway that made the name can answer."
  doctor_says
  printf '\n%sDone in %d seconds.%s\n' "$BOLD" $SECONDS "$PLAIN"
}

main
