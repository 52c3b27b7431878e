# shellcheck shell=bash
# The third act: the same hello:latest at a site that reaches nobody. Archway's cache goes out as one
# file, a gateway of the site takes it in, and both nodes pull from there. Sourced by story.sh.

SITE=$WORK/site

# Leaves the cluster without ECR and without the Archway that reached it.
cut_off() {
  "$STANDIN" down "$WORK/ecr"
  kill -TERM "$ARCHWAY_PID"
  wait "$ARCHWAY_PID" || fail "Archway did not end well"
}

export_hello() {
  shown "archway bundle export $IMAGE --platform linux/amd64,linux/arm64 -o hello.tar"
  quietly "$ARCHWAY" bundle export "$IMAGE" --platform linux/amd64,linux/arm64 -o "$SITE/hello.tar" --path "$WORK/cache"
  shown "archway bundle verify hello.tar"
  quietly "$ARCHWAY" bundle verify "$SITE/hello.tar"
  # Read to its end: a `head` that leaves early ends tar with SIGPIPE, and `pipefail` the demo.
  tar tf "$SITE/hello.tar" >"$SITE/members"
  head -n 6 "$SITE/members" | indent
  good "$(grep -c ^blobs/ "$SITE/members") blobs in one file of $(stat -c %s "$SITE/hello.tar") bytes"
}

start_gateway() {
  cat >"$SITE/archway.toml" <<TOML
offline = true               # nobody is asked, not even a name server

[[listener]]
address = "$GATEWAY:5000"

[admin]
address = "$GATEWAY:9464"
images = true                # for the wish list, since this is no loopback address

[log]
format = "json"

[cache]
path = "$SITE/cache"

[upstream."$REGISTRY"]
auth = "ecr"                 # no credentials are looked for while it is offline
TOML
  indent <"$SITE/archway.toml"
  shown "archway bundle import hello.tar --config archway.toml"
  quietly "$ARCHWAY" bundle import "$SITE/hello.tar" --config "$SITE/archway.toml"
  shown "archway serve --config archway.toml"
  "$ARCHWAY" serve --config "$SITE/archway.toml" >"$WORK/log/gateway.out" 2>"$WORK/log/gateway.log" &
  until_true 20 "the gateway to start" curl -sf "$ARCHWAY_URL/v2/"
  expect "what it says of itself" "every upstream is offline by configuration: served as stored" \
    "$(curl -sf "http://$GATEWAY:9464/readyz" | sed 1d)"
}

# Without a way round the gateway: the error that a node sees is the gateway's.
close_ways_round() {
  write_hosts_toml x86 --no-fallback
  write_hosts_toml arm --no-fallback --platform linux/arm64
  shown "archway client-config containerd --server $ARCHWAY_URL --registries \$ECR --platform linux/arm64 --no-fallback"
  indent <"$WORK/arm/containerd/certs.d/$REGISTRY/hosts.toml"
}

ask_for_more() {
  local answer
  shown "[x86] ctr images pull ... $ECR/hello:v2"
  ! node_ctr x86 images pull --snapshotter native --hosts-dir /etc/containerd/certs.d --platform linux/amd64 \
    "$ECR/hello:v2" >"$WORK/log/hello-v2" 2>&1 || fail "there is no hello:v2"
  answer=$(curl -s "$ARCHWAY_URL/v2/hello/manifests/v2?ns=$REGISTRY" | jq -r '.errors[0].message')
  note "${answer//$ECR/\$ECR}"
  shown "archway wanted"
  "$ARCHWAY" wanted --config "$SITE/archway.toml" >"$SITE/wanted.txt"
  sed "s|$ECR|\$ECR|g" "$SITE/wanted.txt" | indent
  expect "what the site lacks" "$ECR/hello:v2" "$(sed 's/ .*//' "$SITE/wanted.txt")"
}

air_gap() {
  mkdir "$SITE"
  step "The third act: a site without a way out" "Archway's cache goes out as one file, a valid OCI layout with every digest as it was."
  cut_off
  export_hello
  step "The site's gateway takes it in" "It has no HTTP client, no resolver and no credentials for an upstream that is offline."
  start_gateway
  step "Both nodes pull hello:latest there" "Their hosts.toml has no way round the gateway."
  close_ways_round
  remove_hello x86
  remove_hello arm
  pull_and_run_everywhere
  expect "the x86 node records the index, as from ECR" "$(digest_of_index)" "$(target_digest x86)"
  expect "the x86 node has the same content again" "$(wc -l <"$WORK/x86/content") parts" "$(same_parts x86)"
  expect "the Arm node has the same content again" "$(wc -l <"$WORK/arm/content") parts" "$(same_parts arm)"
  step "What the site lacks goes back as a list" "For the next file: archway bundle export --from-file."
  ask_for_more
}
