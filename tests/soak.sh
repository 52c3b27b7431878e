#!/usr/bin/env bash
# `make soak`: the long forms of tests that `make test` runs in a short form. About an hour.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo +nightly fuzz --version > /dev/null 2>&1 || { echo "soak.sh: the nightly toolchain or cargo-fuzz is missing; run rustup toolchain install nightly && cargo install cargo-fuzz" >&2; exit 1; }
cargo build --locked --workspace --all-targets
ARCHWAY_IDLE_SECONDS=600 cargo test --locked --workspace --test it -- nothing_dialled::
ARCHWAY_FAULTS=default cargo test --locked --workspace --test it -- fault_table:: stalls::
ARCHWAY_RELOADS=1000 cargo test --locked --workspace --test it -- reload::no_pull --show-output
ARCHWAY_CRASH_ROUNDS=300 cargo test --locked --workspace --test it -- crash_rounds::
ARCHWAY_FLEET=8,64,20 cargo test --locked --workspace --test it -- replicas::shown --show-output --test-threads 1
ARCHWAY_BUNDLE_MIB=1024 cargo test --locked --workspace --test it -- bundles::disks::where_extents bundles::disks::btrfs
tests/tools/install.sh bench
tests/attacks/run.sh
tests/cluster/run.sh
tests/tools/fuzz.sh -runs=10000000
