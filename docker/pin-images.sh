#!/usr/bin/env bash
# Writes the digests of the base images into docker/Dockerfile: `make pin-images`, on a machine with
# docker and the network. Each image is an ARG with its tag and, once pinned, its digest; a digest
# comes only from the registry that was just asked. Review the change as any other.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
FILE=docker/Dockerfile

fail() {
  printf 'pin-images: %s\n' "$*" >&2
  exit 1
}

command -v docker >/dev/null || fail "docker is missing"
mapfile -t IMAGES < <(sed -nE 's/^ARG ([A-Z]+_BASE)=([^@ ]+)(@sha256:[0-9a-f]{64})?$/\1 \2/p' "$FILE")
[ ${#IMAGES[@]} -gt 0 ] || fail "$FILE has no ARG ..._BASE"
for entry in "${IMAGES[@]}"; do
  read -r name image <<<"$entry"
  digest=$(docker buildx imagetools inspect "$image" --format '{{.Manifest.Digest}}') ||
    fail "cannot ask for $image; nothing more was changed"
  [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || fail "$image: \"$digest\" is no digest"
  sed -i -E "s|^ARG $name=.*\$|ARG $name=$image@$digest|" "$FILE"
  echo "$name=$image@$digest"
done
