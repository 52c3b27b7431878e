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

forbid manifest-model tokio axum hyper http reqwest rustls protocol cache config upstream server proxy
forbid protocol tokio axum hyper reqwest rustls cache config upstream server proxy
forbid cache axum hyper http reqwest rustls protocol config upstream server proxy
forbid config tokio axum hyper reqwest cache upstream server proxy
forbid upstream axum cache server proxy archway
forbid server reqwest upstream proxy archway
forbid proxy clap archway integration-tests openssl openssl-sys native-tls
# Pulling knows no HTTP framework.
if grep -rnE '\baxum\b' crates/proxy/src/pull crates/proxy/src/pull.rs; then
  echo "arrows: pull must not use axum" >&2
  exit 1
fi
echo "arrows: ok"
