#!/usr/bin/env bash
# Runs fuzz targets, each with the given limit of libFuzzer's: -max_total_time=60 (the default) for
# seconds, -runs=10000000 for inputs. Says how long each took.
#
#   fuzz.sh [LIMIT [CRATE/TARGET...]]      all targets of all crates, or those named
#
# A target starts from what earlier runs found (fuzz/corpus) and from fuzz/seeds. Without a
# sanitizer, which all but doubles the inputs a second: nothing that is fuzzed has unsafe code.
# Overflows are errors all the same.
set -euo pipefail

limit=${1:--max_total_time=60}
wanted=" ${*:2} "
options=(--sanitizer none -O -a)
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
top=$PWD
cargo +nightly --version >/dev/null 2>&1 || { echo "fuzz.sh: the nightly toolchain is missing; run rustup toolchain install nightly" >&2; exit 1; }
cargo +nightly fuzz --version >/dev/null 2>&1 || { echo "fuzz.sh: cargo-fuzz is missing; run cargo install cargo-fuzz" >&2; exit 1; }
for crate in crates/*/fuzz; do
  crate=${crate%/fuzz}
  cd "$top/$crate"
  for target in $(cargo +nightly fuzz list); do
    [ "$wanted" = "  " ] || [[ $wanted == *" ${crate#crates/}/$target "* ]] || continue
    echo "== ${crate#crates/}/$target"
    mkdir -p "fuzz/corpus/$target"
    folders=("fuzz/corpus/$target")
    [ -d "fuzz/seeds/$target" ] && folders+=("fuzz/seeds/$target")
    started=$SECONDS
    cargo +nightly fuzz run "${options[@]}" "$target" "${folders[@]}" -- "$limit" -timeout=10
    echo "== ${crate#crates/}/$target: no crash in $((SECONDS - started)) s"
  done
done
