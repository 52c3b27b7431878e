#!/usr/bin/env bash
# Fails when a crate depends on what it must not know: see docs/architecture.md.
set -euo pipefail

forbid() {
  local crate=$1 tree name bad=0
  shift
  tree=$(cargo tree --locked -p "$crate" -e normal --prefix none | awk '{ print $1 }' | sort -u)
  for name in "$@"; do
    if grep -qx "$name" <<<"$tree"; then
      echo "arrows: $crate must not depend on $name" >&2
      bad=1
    fi
  done
  return $bad
}

forbid manifest-model tokio axum hyper http reqwest rustls cache proxy
forbid cache axum hyper http reqwest rustls proxy
forbid proxy integration-tests openssl openssl-sys native-tls
# Inside the proxy: what is asked of an upstream knows no client, and pulling knows no HTTP framework.
if grep -rnE '\baxum\b' crates/proxy/src/pull crates/proxy/src/pull.rs crates/proxy/src/upstream crates/proxy/src/upstream.rs; then
  echo "arrows: pull and upstream must not use axum" >&2
  exit 1
fi
if grep -rnE 'crate::(routes|pull|server)' crates/proxy/src/upstream crates/proxy/src/upstream.rs crates/proxy/src/protocol; then
  echo "arrows: upstream and protocol must not look up" >&2
  exit 1
fi
echo "arrows: ok"
