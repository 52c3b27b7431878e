# shellcheck shell=bash
# After the walk-through: the container engines of this machine, and the result of each for every
# answer to hello's tag. Each pull goes into an empty store, once through Archway and once straight
# from ECR, where another tag gives the same answer. matrix.py prints the table and judges it.
# Sourced by story.sh.

MATRIX=$WORK/matrix
MATRIX_HOST=$GATEWAY:5002
declare -A OTHER=([amd64]=arm64 [arm64]=amd64)
declare -A ENGINE=([1.6]=/usr/bin [2.4]=$TOOLS/bin)

# Starts ECR again. It is empty and has another certificate, so the images are pushed again.
ecr_is_back() {
  local arch
  mkdir "$MATRIX"
  NAMES=1 "$STANDIN" up "$WORK/ecr"
  start_docker "\"insecure-registries\": [\"$MATRIX_HOST\"]"
  push_hello >/dev/null
  quietly docker manifest push "$ECR/hello:latest"
  for arch in "${ARCHITECTURES[@]}"; do
    quietly docker manifest create "$ECR/hello:only-$arch" "$ECR/hello:$arch"
    quietly docker manifest push "$ECR/hello:only-$arch"
  done
  docker image ls --format '{{.Repository}}:{{.Tag}}' | xargs docker image rm --force >/dev/null
  [ -z "$(docker image ls --all --quiet)" ] || fail "docker still has images"
  list_parts >"$MATRIX/parts"
  for arch in "${ARCHITECTURES[@]}"; do
    printf 'index/only-%s %s 0\n' "$arch" "$(ecr_digest "only-$arch")" >>"$MATRIX/parts"
  done
  expect "hello:latest as before" "$(digest_of_index)" "$(ecr_digest latest)"
}

ecr_digest() {
  curl -sf -u "AWS:$(cat "$WORK/ecr/token")" -H "Accept: $INDEX_TYPE" "https://$REGISTRY/v2/hello/manifests/$1" | digest_of
}

# Writes a hosts.toml without a hint, and one with a hint for each architecture.
write_matrix_hosts() {
  local way header dir
  for way in none "${ARCHITECTURES[@]}"; do
    dir=$MATRIX/certs-$way/$REGISTRY
    mkdir -p "$dir"
    header="header = { Archway-Platform = [\"linux/$way\"] }"
    [ "$way" != none ] || header=
    printf 'server = "https://%s"\n[host."http://%s"]\ncapabilities = ["pull", "resolve"]\n%s\n' \
      "$REGISTRY" "$MATRIX_HOST" "$header" >"$dir/hosts.toml"
  done
}

# Starts containerd of release $1 on this side of the bridge, where it can reach ECR too.
start_engine() {
  local release=$1 dir=$MATRIX/containerd-$1
  write_containerd_toml "$dir" linux/amd64
  "${ENGINE[$release]}/containerd" --config "$dir/containerd.toml" >"$WORK/log/matrix-containerd-$release.log" 2>&1 &
  until_true 20 "containerd $release" engine_ctr "$release" version
}

engine_ctr() {
  local release=$1
  shift
  "${ENGINE[$release]}/ctr" --address "$MATRIX/containerd-$release/containerd.sock" "$@"
}

# pull_by_ctr RELEASE WAY TAG [PLATFORM]: pulls and prints "ARCHITECTURES DIGEST" of the result,
# with - for a missing part, or "failed -" if ctr fails.
pull_by_ctr() {
  local release=$1 way=$2 image=$ECR/hello:$3 options=(--snapshotter native) digest
  if [ "$way" = direct ]; then
    options+=(--user "AWS:$(cat "$WORK/ecr/token")")
  else
    options+=(--hosts-dir "$MATRIX/certs-$way")
  fi
  [ $# -lt 4 ] || options+=(--platform "$4")
  if engine_ctr "$release" images pull "${options[@]}" "$image" >>"$WORK/log/matrix-ctr-$release.log" 2>&1; then
    digest=$(engine_ctr "$release" images ls "name==$image" 2>/dev/null | awk 'NR == 2 { print $3 }')
    printf '%s %s\n' "$(engine_ctr "$release" content ls -q 2>/dev/null | architectures_in)" "${digest:--}"
  else
    printf 'failed -\n'
  fi
  # A failed pull may leave its name and content behind.
  engine_ctr "$release" images rm --sync "$image" >/dev/null 2>&1
}

# The architectures of the layers among the digests on standard input.
architectures_in() {
  awk -v parts="$MATRIX/parts" '
    BEGIN { while ((getline <parts) > 0) if ($1 ~ /^layer/) role[$2] = substr($1, 7) }
    $1 in role { all = all (all ? "," : "") role[$1] }
    END { print all ? all : "-" }'
}

# pull_by_docker WAY TAG [PLATFORM]: the same with docker.
pull_by_docker() {
  local way=$1 image options=(--quiet)
  case $way in
    direct) image=$ECR/hello:$2 ;;
    none) image=$MATRIX_HOST/$ECR/hello:$2 ;;
    *) image=$MATRIX_HOST/platform/linux-$way/$ECR/hello:$2 ;;
  esac
  [ $# -lt 3 ] || options+=(--platform "$3")
  if ! docker pull "${options[@]}" "$image" >>"$WORK/log/matrix-docker.log" 2>&1; then
    printf 'failed -\n'
    return
  fi
  docker image inspect "$image" | jq -r '.[0] | "\(.Architecture) \(.RepoDigests[0] | sub(".*@"; ""))"'
  docker image rm --force "$image" >/dev/null
}

# All pulls of a client, as lines "CLIENT|PLATFORM|ANSWER|ROUTE|ARCHITECTURES DIGEST". Without a
# platform it wants amd64.
pulls_of() {
  local client=$1 platform wanted other answer route way tag
  shift
  for platform in "" linux/arm64; do
    wanted=${platform:+arm64} && wanted=${wanted:-amd64}
    other=${OTHER[$wanted]}
    while read -r answer route way tag; do
      printf '%s|%s|%s|%s|%s\n' "$client" "$platform" "$answer" "$route" \
        "$("$@" "$way" "$tag" ${platform:+"$platform"})"
    done <<PULLS
index archway none latest
index straight direct latest
wanted archway $wanted latest
wanted straight direct $wanted
unwanted archway $other latest
unwanted straight direct $other
lacking archway none only-$other
lacking straight direct only-$other
PULLS
  done
}

matrix() {
  local running=() pid
  step "Every client, every answer" \
    "ECR is back. Each client pulls into an empty store, through a new Archway and straight from ECR." \
    "Without --platform it wants amd64, as this machine is. The hint is a header in hosts.toml, for dockerd a path in the name." \
    "A cell shows the architecture of the layers it has then, and whether it recorded the index or a child."
  ecr_is_back
  start_another matrix-archway "$MATRIX_HOST"
  write_matrix_hosts
  start_engine 1.6
  start_engine 2.4
  pulls_of "containerd 1.6 (ctr)" pull_by_ctr 1.6 >"$MATRIX/1.pulls" & running+=($!)
  pulls_of "containerd 2.4 (ctr)" pull_by_ctr 2.4 >"$MATRIX/2.pulls" & running+=($!)
  pulls_of "dockerd 20.10" pull_by_docker >"$MATRIX/3.pulls" & running+=($!)
  for pid in "${running[@]}"; do
    wait "$pid" || fail "the pulls of a client could not run"
  done
  python3 "$DEMO/matrix.py" "$MATRIX" || fail "a client ended with the wrong result"
}
