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

forbid allocator tokio axum hyper libc manifest-model server
forbid manifest-model tokio axum hyper http reqwest rustls protocol cache-store cache config upstream server pull proxy
forbid protocol tokio axum hyper reqwest rustls cache-store cache config upstream server pull proxy
forbid admin-api tokio axum hyper reqwest rustls cache-store cache config upstream server pull proxy archway
forbid bundle tokio axum hyper reqwest rustls cache-store cache config upstream server pull proxy
forbid airgap axum hyper reqwest rustls config upstream server pull proxy archway
forbid wishes tokio axum hyper reqwest rustls cache-store cache config upstream server pull proxy archway
forbid node tokio axum hyper reqwest cache-store cache config upstream server pull proxy archway
forbid probe tokio axum hyper http reqwest protocol cache-store cache config upstream server pull proxy archway node
forbid cluster axum clap reqwest cache-store cache upstream server pull proxy archway openssl native-tls
forbid cache-store axum hyper http reqwest rustls protocol cache config upstream server pull proxy
forbid cache axum hyper http reqwest rustls protocol config upstream server pull proxy
forbid config tokio axum hyper reqwest cache-store cache upstream server pull proxy
forbid doctor axum clap cache-store cache server pull proxy archway
forbid tally tokio axum hyper reqwest cache-store cache config upstream server pull proxy archway
forbid login axum hyper reqwest cache-store cache upstream server pull proxy archway
forbid upstream axum cache-store cache server pull proxy archway
forbid peers pull proxy archway
forbid replicas axum cache-store cache server pull proxy archway
forbid trust tokio axum hyper http reqwest protocol cache-store cache config upstream server pull proxy
forbid systemd axum hyper http reqwest rustls protocol cache-store cache config upstream server pull proxy
forbid terminal tokio axum hyper reqwest protocol cache-store cache config upstream server pull proxy client archway
forbid tier axum clap server pull proxy archway openssl native-tls
forbid server reqwest upstream pull proxy archway
forbid pull axum server proxy archway
forbid observe control proxy archway clap
forbid control proxy archway clap
forbid client clap archway
forbid slots axum hyper reqwest rustls cache-store cache config upstream server pull proxy archway
forbid admin-console tokio axum hyper reqwest cache-store cache config upstream server pull proxy archway
forbid image-inventory axum server proxy archway clap
forbid window proxy archway clap
forbid proxy clap archway integration-tests openssl openssl-sys native-tls
echo "arrows: ok"
