#!/usr/bin/env bash
# The steps of test-image.sh, run as the first process of their own namespaces. The image is small,
# starts with the config inside it, finds an upstream by DNS, trusts it by the image's certificate
# authorities, serves a pull, and serves it again after a restart without the upstream. An index of it
# for two platforms is pulled through it for arm64, and what came serves in turn.
set -euo pipefail

# shellcheck source=tests/tools/say.sh
. "$TOOLS/say.sh"
# shellcheck source=tests/tools/dockerd.sh
. "$TOOLS/dockerd.sh"

# With the clients of Kubernetes and of three kinds of buckets, and the names of functions for the trace of a panic. Without the
# fat link a binary is about twice as large.
LIMIT_BYTES=$((50 * 1000 * 1000))
[ "${PROFILE:-dist}" = dist ] || LIMIT_BYTES=$((2 * LIMIT_BYTES))
UPSTREAM_NAME=registry.internal
UPSTREAM=$UPSTREAM_NAME:5001
IMAGE=127.0.0.1:5000/$UPSTREAM_NAME/team/hello:1
MANIFEST=application/vnd.docker.distribution.manifest.v2+json
LIST=application/vnd.docker.distribution.manifest.list.v2+json
declare -A IMAGES=([amd64]=archway [arm64]=archway-arm64)

make_private() {
  hide_docker
  ip link set lo up
  printf '127.0.0.1 localhost\n' >"$WORK/hosts"
  printf 'nameserver 127.0.0.1\n' >"$WORK/resolv.conf"
  mount --bind "$WORK/hosts" /etc/hosts
  mount --bind "$WORK/resolv.conf" /etc/resolv.conf
  python3 "$TOOLS/one_name_dns.py" 127.0.0.1 $UPSTREAM_NAME 127.0.0.1 >"$WORK/log/dns.log" 2>&1 &
}

# Makes an authority for the image's bundle, and the upstream's certificate signed by it.
make_certificates() {
  local ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
  mkdir "$WORK/tls"
  cd "$WORK/tls"
  quietly openssl req -x509 "${ec[@]}" -days 2 -keyout ca.key -out ca.pem -subj "/CN=Archway image test CA"
  quietly openssl req "${ec[@]}" -keyout key.pem -out request.pem -subj "/CN=$UPSTREAM_NAME"
  printf 'subjectAltName=DNS:%s\n' $UPSTREAM_NAME >extensions
  quietly openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
    -extfile extensions -out chain.pem
  cd "$WORK"
}

# The upstream. Docker pushes to its loopback address, where it does not verify the certificate.
start_registry() {
  cat >"$WORK/registry.yml" <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: "$WORK/registry"}}
http: {addr: "127.0.0.1:5001", tls: {certificate: "$WORK/tls/chain.pem", key: "$WORK/tls/key.pem"}}
YAML
  docker-registry serve "$WORK/registry.yml" >"$WORK/log/registry.log" 2>&1 &
  REGISTRY=$!
  until_true 20 docker-registry curl -sfk https://127.0.0.1:5001/v2/
}

push_hello() {
  mkdir "$WORK/hello"
  printf 'FROM scratch\nCOPY text /\nCMD ["/text"]\n' >"$WORK/hello/Dockerfile"
  head -c 3000000 /dev/urandom >"$WORK/hello/text"
  quietly docker build -t 127.0.0.1:5001/team/hello:1 "$WORK/hello"
  quietly docker push 127.0.0.1:5001/team/hello:1
  quietly docker image rm 127.0.0.1:5001/team/hello:1
}

# build_image ARCHITECTURE BINARY NAME: builds the image, with an image of the same /out in place of the
# compiling stage.
build_image() {
  local folder=$WORK/compiled-$1 out=$WORK/compiled-$1/out
  mkdir -p "$out/cache"
  cp "$2" "$out/archway"
  cat /etc/ssl/certs/ca-certificates.crt "$WORK/tls/ca.pem" >"$out/ca-certificates.crt"
  printf 'FROM scratch\nCOPY out /out\n' >"$folder/Dockerfile"
  quietly env DOCKER_BUILDKIT=1 docker build --platform "linux/$1" -t "archway-compiled-$1" "$folder"
  shown "docker build --platform linux/$1 -f docker/Dockerfile -t $3 ."
  quietly env DOCKER_BUILDKIT=1 docker build --platform "linux/$1" --build-arg "BUILD_IMAGE=archway-compiled-$1" \
    -f "$ROOT/docker/Dockerfile" -t "$3" "$ROOT"
}

# push_index: both images to the upstream, and an index of them.
push_index() {
  local architecture digest name=127.0.0.1:5001/team/archway entries=()
  for architecture in amd64 arm64; do
    quietly docker tag "${IMAGES[$architecture]}" "$name:$architecture"
    quietly docker push "$name:$architecture"
    digest=$(docker image inspect -f '{{index .RepoDigests 0}}' "$name:$architecture")
    curl -sfk -H "Accept: $MANIFEST" "https://127.0.0.1:5001/v2/team/archway/manifests/${digest#*@}" >"$WORK/manifest.json"
    entries+=("$(jq -n --arg type "$MANIFEST" --arg digest "${digest#*@}" --arg architecture "$architecture" \
      --argjson size "$(wc -c <"$WORK/manifest.json")" \
      '{mediaType: $type, digest: $digest, size: $size, platform: {os: "linux", architecture: $architecture}}')")
  done
  jq -s --arg type "$LIST" '{schemaVersion: 2, mediaType: $type, manifests: .}' <<<"${entries[*]}" >"$WORK/index.json"
  quietly curl -sfk -X PUT -H "Content-Type: $LIST" --data-binary "@$WORK/index.json" \
    "https://127.0.0.1:5001/v2/team/archway/manifests/1"
  quietly docker image rm $name:amd64 $name:arm64
}

# The image for arm64 through the one for amd64; then hello through both, as what came asks the first.
serve_arm64() {
  local image=127.0.0.1:5000/$UPSTREAM_NAME/team/archway:1 second=$WORK/second
  run docker pull --platform linux/arm64 "$image"
  expect "what came" "linux/arm64 sha256:$(sha256sum <"$ARM64_BINARY" | cut -d' ' -f1)" "$(contents "$image")"
  mkdir "$second"
  cat - <(sed 's/:5000"/:5010"/' "$WORK/config.toml") >"$second/config.toml" <<TOML
parents = ["http://127.0.0.1:5000"]
[admin]
address = "127.0.0.1:9465"
TOML
  quietly docker run --detach --name second --platform linux/arm64 --read-only --user 65532 --cap-drop ALL --network host \
    --volume second:/var/lib/archway --volume "$second/config.toml:/etc/archway/config.toml:ro" "$image"
  until_true 60 "Archway on arm64" curl -sf -o /dev/null http://127.0.0.1:5010/v2/
  run docker pull "${IMAGE/:5000/:5010}"
  quietly docker stop --time 60 second
  expect "exit status of arm64 after SIGTERM" 0 "$(docker inspect -f '{{.State.ExitCode}}' second)"
  docker logs second >"$WORK/log/archway-arm64.log" 2>&1
  quietly docker rm second
}

# contents IMAGE: its platform, and the digest of its program.
contents() {
  local container
  # A platform that is not the machine's is worth a warning to it.
  container=$(docker create "$1" 2>/dev/null)
  docker cp "$container:/archway" "$WORK/pulled" >/dev/null
  docker rm "$container" >/dev/null
  printf '%s sha256:%s' "$(docker image inspect -f '{{.Os}}/{{.Architecture}}' "$1")" "$(sha256sum <"$WORK/pulled" | cut -d' ' -f1)"
}

check_size() {
  local size
  size=$(docker image inspect -f '{{.Size}}' archway)
  [ "$size" -lt $LIMIT_BYTES ] || fail "the image has $size bytes, above the limit of $LIMIT_BYTES"
  good "$size bytes, under $LIMIT_BYTES"
}

# Runs the image as a container named archway, with the arguments as further options of docker run.
start_archway() {
  local options=(--read-only --user 65532 --cap-drop ALL --volume cache:/var/lib/archway --network host)
  shown "docker run --detach ${options[*]} $* archway"
  quietly docker run --detach --name archway "${options[@]}" "$@" archway
  until_true 20 "Archway" archway_settled
  archway_answers || {
    docker logs archway 2>&1 | indent >&2
    fail "Archway does not answer"
  }
}

archway_answers() { curl -sf -o /dev/null http://127.0.0.1:5000/v2/; }

archway_settled() {
  archway_answers || [ "$(docker inspect -f '{{.State.Status}}' archway)" = exited ]
}

# Stops the container with SIGTERM, checks its exit status and removes it.
end_archway() {
  quietly docker stop --time 20 archway
  expect "exit status after SIGTERM" 0 "$(docker inspect -f '{{.State.ExitCode}}' archway)"
  docker logs archway >"$WORK/log/archway-$STEP.log" 2>&1
  quietly docker rm archway
}

# Pulls through Archway, sets PULLED to the digest and the id of the image, and removes it.
pull() {
  run docker pull $IMAGE
  PULLED=$(docker image inspect -f '{{index .RepoDigests 0}} {{.Id}}' $IMAGE)
  quietly docker image rm $IMAGE
}

write_config() {
  cat >"$WORK/config.toml" <<TOML
[[listener]]
address = "127.0.0.1:5000"

[cache]
path = "/var/lib/archway"

[upstream."$UPSTREAM_NAME"]
endpoints = ["https://$UPSTREAM"]
auth = "anonymous"
tag_ttl = "1h"
TOML
}

check_configs() {
  local config
  for config in archway.toml compose.archway.toml; do
    run docker run --rm --read-only --network none \
      --volume "$ROOT/docker/$config:/config.toml:ro" archway config check /config.toml
  done
}

main() {
  local first
  make_private
  step "The image"
  make_certificates
  start_docker
  build_image amd64 "$BINARY" archway
  check_size
  build_image arm64 "$ARM64_BINARY" archway-arm64
  check_configs

  step "With the config inside it"
  start_archway
  expect "readiness" 200 "$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:9464/readyz)"
  end_archway

  step "A pull through it" "The static binary itself finds the upstream by DNS" \
    "and trusts it by the authorities in the image."
  start_registry
  push_hello
  write_config
  start_archway --volume "$WORK/config.toml:/etc/archway/config.toml:ro"
  pull
  first=$PULLED
  good "$first"

  step "An image for two platforms" "An arm64 client gets the image for it through Archway, and that serves, too."
  push_index
  serve_arm64
  end_archway

  step "Again after a restart, without the upstream"
  kill "$REGISTRY"
  wait "$REGISTRY" || true
  start_archway --volume "$WORK/config.toml:/etc/archway/config.toml:ro"
  pull
  expect "the same image" "$first" "$PULLED"
  end_archway
  printf '\n%sThe image passed every step (%d seconds).%s\n' "$BOLD" $SECONDS "$PLAIN"
}

main
