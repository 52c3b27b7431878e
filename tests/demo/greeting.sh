# shellcheck shell=bash
# A second image of the team, in the style from before manifest lists: a tag for each architecture
# and no name for both. Archway makes that name. Sourced by story.sh.

GREETING=$REGISTRY/greeting
GREETING_IMAGE=$GREETING:1.0
GREETING_PORT=8081
REPLICA_HOST=$GATEWAY:5001
OCI_INDEX_TYPE=application/vnd.oci.image.index.v1+json

# Pushes the same program as hello under another path, so that no node has its layer yet.
push_greeting() {
  local arch dir
  for arch in "${ARCHITECTURES[@]}"; do
    dir=$WORK/greeting/$arch
    mkdir -p "$dir"
    cp "$WORK/hello/$arch/hello" "$dir"
    printf 'FROM scratch\nCOPY hello /greeting\nENTRYPOINT ["/greeting", "%s"]\n' "$GREETING_PORT" >"$dir/Dockerfile"
    shown "docker build --platform linux/$arch -t $GREETING_IMAGE-$arch ."
    quietly docker build --platform "linux/$arch" -t "$GREETING_IMAGE-$arch" "$dir"
    run docker push "$GREETING_IMAGE-$arch"
  done
}

# The part of Archway's configuration that makes the name.
greeting_rule() {
  cat <<TOML

[[upstream."$REGISTRY".virtual_index]]
name = "greeting:*"          # if ECR has no such tag ...
sources = ["greeting:*-amd64", "greeting:*-arm64"]     # ... its index is synthesized from these
TOML
}

# The digest of the manifest that the Archway at URL $1 serves for greeting:$2.
greeting_digest() {
  curl -sf -H "Accept: $OCI_INDEX_TYPE" -H "Accept: $MANIFEST_TYPE" "$1/v2/greeting/manifests/$2?ns=$REGISTRY" | digest_of
}

# Stops greeting and removes its image from the node.
remove_greeting() {
  local node=$1
  stop_on "$node" greeting
  quietly node_ctr "$node" images rm --sync "$GREETING_IMAGE"
}

greeting_everywhere() {
  local node
  local -A machine=([x86]=x86_64 [arm]=aarch64) wanted
  wanted=([x86]=$(greeting_digest "$ARCHWAY_URL" 1.0) [arm]=$(greeting_digest "$ARCHWAY_URL" 1.0-arm64))
  for node in x86 arm; do
    IMAGE=$GREETING_IMAGE pull "$node"
    IMAGE=$GREETING_IMAGE run_on "$node" greeting "$GREETING_PORT"
    expect "$node runs its own architecture" "${machine[$node]}" \
      "$(curl -sf "http://${ADDRESS[$node]}:$GREETING_PORT/hello" | jq -r .arch)"
  done
  expect "the x86 node records the index that Archway synthesized" "${wanted[x86]}" \
    "$(IMAGE=$GREETING_IMAGE target_digest x86)"
  expect "the Arm node records the image that was pushed" "${wanted[arm]}" \
    "$(IMAGE=$GREETING_IMAGE target_digest arm)"
  remove_greeting x86
  remove_greeting arm
}

per_architecture_tags() {
  step "The same with a tag for each architecture" \
    "greeting has no manifest list: ECR has greeting:1.0-amd64 and greeting:1.0-arm64, but no greeting:1.0." \
    "A rule in Archway's configuration makes that name."
  shown "curl .../greeting/manifests/1.0"
  curl -sf -H "Accept: $OCI_INDEX_TYPE" "$ARCHWAY_URL/v2/greeting/manifests/1.0?ns=$REGISTRY" >"$WORK/greeting.json"
  jq -r '(.manifests[] | "\(.platform.os)/\(.platform.architecture)  \(.digest)"), .annotations["io.archway.sources"]' \
    "$WORK/greeting.json" | indent
  expect "its architectures" "${ARCHITECTURES[*]}" \
    "$(jq -r '[.manifests[].platform.architecture] | join(" ")' "$WORK/greeting.json")"
  start_another replica "$REPLICA_HOST"
  expect "a second Archway with an empty cache serves the same digest" "$(digest_of <"$WORK/greeting.json")" \
    "$(greeting_digest "http://$REPLICA_HOST" 1.0)"
  greeting_everywhere
}
