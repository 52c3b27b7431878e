#!/usr/bin/env bash
# Compiles the static binary that ships. It has no path of the machine that built it in it, and,
# where cargo-auditable is installed, the list of its crates, which scanners read.
#
#   docker/compile.sh TARGET [PROFILE]
#
# Prints the path of the binary.
set -euo pipefail

target=$1
profile=${2:-dist}
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  printf 'compile.sh: %s\n' "$*" >&2
  exit 1
}

crates=${CARGO_HOME:-$HOME/.cargo}
maps=("$PWD=archway" "$crates=cargo")
rust=-Ctarget-feature=+crt-static
c=${CFLAGS:-}
for map in "${maps[@]}"; do
  rust+=" --remap-path-prefix=$map"
  c+=" -ffile-prefix-map=$map"
done
build=(build)
if cargo auditable --version >/dev/null 2>&1; then
  build=(auditable build)
else
  echo "compile.sh: without cargo-auditable the binary does not name its crates" >&2
fi
# For the target alone: what runs during the build does not ship.
triple=${target//-/_}
env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS "CARGO_TARGET_$(tr a-z- A-Z_ <<<"$target")_RUSTFLAGS=$rust" "CFLAGS_$triple=$c" \
  cargo "${build[@]}" --profile "$profile" --locked --target "$target" -p archway >&2
binary=${CARGO_TARGET_DIR:-$PWD/target}/$target/$profile/archway
# Only what ships is held to it.
if [ "$profile" = dist ]; then
  for place in "$PWD/crates" "$crates/registry"; do
    ! grep -qaF "$place" "$binary" || fail "$binary names $place"
  done
fi
echo "$binary"
