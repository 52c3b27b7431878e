#!/usr/bin/env bash
# Compiles the static binary that ships, for this machine or, with Debian's toolchain, for another
# (gcc-aarch64-linux-gnu and libc6-dev-arm64-cross for aarch64). It has no path of the machine that
# built it in it, and, where cargo-auditable is installed, the list of its crates, which scanners read.
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
variables=CARGO_TARGET_$(tr a-z- A-Z_ <<<"$target")
tools=()
machine=${target%%-*}
if [ "$machine" != "$(uname -m)" ]; then
  compiler=$machine-linux-gnu-gcc
  command -v "$compiler" >/dev/null || fail "$compiler is missing; run apt-get install gcc-${machine/_/-}-linux-gnu and the C library for it (for aarch64 libc6-dev-arm64-cross)"
  tools=("CC_$triple=$compiler" "${variables}_LINKER=$compiler")
  if command -v rustup >/dev/null; then rustup target add "$target" >&2; fi
fi
env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS "${variables}_RUSTFLAGS=$rust" "CFLAGS_$triple=$c" "${tools[@]}" \
  cargo "${build[@]}" --profile "$profile" --locked --target "$target" -p archway >&2
folder=$profile
[ "$profile" != dev ] || folder=debug
binary=${CARGO_TARGET_DIR:-$PWD/target}/$target/$folder/archway
# Only what ships is held to it.
if [ "$profile" = dist ]; then
  for place in "$PWD/crates" "$crates/registry"; do
    ! grep -qaF "$place" "$binary" || fail "$binary names $place"
  done
fi
echo "$binary"
