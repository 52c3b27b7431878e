# shellcheck shell=bash
# The team: it builds hello for two architectures, pushes both to ECR and joins them under one name.
# Sourced by story.sh.

declare -A COMPILER=([amd64]=gcc [arm64]=aarch64-linux-gnu-gcc)

build_hello() {
  local arch dir
  for arch in "${ARCHITECTURES[@]}"; do
    dir=$WORK/hello/$arch
    mkdir -p "$dir"
    cp "$DEMO/hello/Dockerfile" "$dir"
    shown "${COMPILER[$arch]} -static -o hello hello.c"
    quietly "${COMPILER[$arch]}" -O2 -Wall -static -s -o "$dir/hello" "$DEMO/hello/hello.c"
    shown "docker build --platform linux/$arch -t $REGISTRY/hello:$arch ."
    quietly docker build --platform "linux/$arch" -t "$REGISTRY/hello:$arch" "$dir"
  done
}

push_hello() {
  local arch
  shown "aws ecr get-login-password --region $REGION | docker login --username AWS --password-stdin $REGISTRY"
  aws ecr get-login-password --region "$REGION" | quietly docker login --username AWS --password-stdin "$REGISTRY"
  for arch in "${ARCHITECTURES[@]}"; do
    run docker push "$REGISTRY/hello:$arch"
  done
}

push_index() {
  run docker manifest create "$IMAGE" "$REGISTRY/hello:amd64" "$REGISTRY/hello:arm64"
  shown "docker manifest inspect $IMAGE"
  docker manifest inspect "$IMAGE" >"$WORK/inspected.json"
  jq -r '.manifests[] | "\(.platform.os)/\(.platform.architecture)  \(.digest)"' "$WORK/inspected.json" | indent
  expect "its architectures" "${ARCHITECTURES[*]}" \
    "$(jq -r '[.manifests[].platform.architecture] | join(" ")' "$WORK/inspected.json")"
  run docker manifest push "$IMAGE"
}
