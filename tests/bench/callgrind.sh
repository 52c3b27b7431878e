#!/usr/bin/env bash
# Counts the instructions that one small answer costs Archway, by valgrind's callgrind: a figure that depends on the
# code and not on the machine or on what else it does.
#
#   callgrind.sh [REQUESTS]     ARCHWAY_BIN: a binary with symbols (default: target/release/archway)
#
# Prints a table in Markdown: instructions per request of the whole process, and of the parts that `PARTS` names, each
# with all that it calls. Plain HTTP/1.1 on one connection, TLS and HTTP/2 by h2load. Needs valgrind, openssl, curl
# and h2load (tests/tools/install.sh bench; apt-get install valgrind). The origin is Python's http.server with the files
# of one image.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd "$HERE/../.." && pwd)
ARCHWAY=$(realpath "${ARCHWAY_BIN:-$TOP/target/release/archway}")
REQUESTS=${1:-2000}
# A word of the report, and the pattern of the function that begins it.
PARTS=(
  "answer given again=replay::answer::StoredAnswer::(write|response)|RecallService"
  "routes=routes::answer"
  "access line and counters=RequestLog as core::ops::drop::Drop|AccessRecord::write"
  "HPACK=hpack::"
  "encryption=rustls::.*(encrypt|process_tls)"
)

WORK=$(mktemp -d)
PIDS=()
stop() {
  for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$WORK"
}
trap stop EXIT

# The files of an origin: one manifest with a config of 5 KiB.
origin() {
  local root=$WORK/root/v2/bench/app config manifest
  mkdir -p "$root/blobs" "$root/manifests"
  head -c 5120 /dev/urandom >"$WORK/config"
  config=sha256:$(sha256sum <"$WORK/config" | cut -d' ' -f1)
  cp "$WORK/config" "$root/blobs/$config"
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":5120},"layers":[]}' \
    "$config" >"$WORK/manifest"
  manifest=sha256:$(sha256sum <"$WORK/manifest" | cut -d' ' -f1)
  cp "$WORK/manifest" "$root/manifests/latest"
  cp "$WORK/manifest" "$root/manifests/$manifest"
  printf '{}' >"$WORK/root/v2/index.html"
  ASKS=("manifest by digest=/v2/bench/app/manifests/$manifest" "manifest by tag=/v2/bench/app/manifests/latest"
    "5 KiB blob=/v2/bench/app/blobs/$config")
  cat >"$WORK/origin.py" <<'PYTHON'
import functools, http.server, sys
class Registry(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def guess_type(self, path):
        return "application/vnd.oci.image.manifest.v1+json" if "/manifests/" in path else "application/octet-stream"
    def end_headers(self):
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        super().end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), functools.partial(Registry, directory=sys.argv[2])).serve_forever()
PYTHON
  python3 "$WORK/origin.py" 18701 "$WORK/root" &
  PIDS+=($!)
}

config() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=bench \
    -addext subjectAltName=IP:127.0.0.1 -keyout "$WORK/key.pem" -out "$WORK/cert.pem" 2>/dev/null
  cat >"$WORK/archway.toml" <<TOML
default_upstream = "origin.test"
[[listener]]
address = "127.0.0.1:18702"
[[listener]]
address = "127.0.0.1:18703"
tls = { cert = "$WORK/cert.pem", key = "$WORK/key.pem" }
[server]
replay = $1
[admin]
address = "127.0.0.1:18704"
[log]
format = "json"
access = true
[cache]
path = "$WORK/cache"
[upstream."origin.test"]
endpoints = ["http://127.0.0.1:18701"]
tag_ttl = "1h"
TOML
}

# What callgrind counts is switched on and off around the requests, so the start is left out.
measure() {
  local replay=$1 over=$2 what=$3 path=$4 valgrind total file part name pattern
  config "$replay"
  rm -f "$WORK"/callgrind.out*
  valgrind --tool=callgrind --instr-atstart=no --callgrind-out-file="$WORK/callgrind.out" \
    "$ARCHWAY" serve --config "$WORK/archway.toml" >"$WORK/archway.log" 2>&1 &
  valgrind=$!
  PIDS+=($valgrind)
  for _ in $(seq 300); do
    curl -sf -o /dev/null http://127.0.0.1:18704/readyz && break
    sleep 0.2
  done
  ask "$over" "$path" 50
  callgrind_control --instr=on "$valgrind" >/dev/null
  ask "$over" "$path" "$REQUESTS"
  callgrind_control --instr=off "$valgrind" >/dev/null
  kill "$valgrind"
  wait "$valgrind" || true
  file=$(ls "$WORK"/callgrind.out* | head -n 1)
  callgrind_annotate --inclusive=yes --threshold=100 "$file" >"$WORK/report"
  total=$(awk '/PROGRAM TOTALS/ { gsub(",", "", $1); print $1 }' "$WORK/report")
  printf '| %s | %s | %s | %s |' "$what" "$over" "$replay" $((total / REQUESTS))
  for part in "${PARTS[@]}"; do
    name=${part%%=*} pattern=${part#*=}
    awk -v pattern="$pattern" -v requests="$REQUESTS" '
      $0 ~ pattern { gsub(",", "", $1); if ($1 + 0 > most) most = $1 + 0 }
      END { printf " %s |", most ? int(most / requests) : "-" }' "$WORK/report"
  done
  printf '\n'
}

# One connection, one request after the other, each the same.
ask() {
  local over=$1 path=$2 count=$3
  case $over in
    plain)
      python3 - "$path" "$count" <<'PYTHON'
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", 18702)
for _ in range(int(sys.argv[2])):
    connection.request("GET", sys.argv[1], headers={"accept": "*/*"})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200, answer.status
PYTHON
      ;;
    HTTP/2) h2load -n "$count" -c 1 -m 1 -H 'accept: */*' "https://127.0.0.1:18703$path" >/dev/null ;;
  esac
}

origin
printf '| what | over | replay | instructions |'
for part in "${PARTS[@]}"; do printf ' %s |' "${part%%=*}"; done
printf '\n|%s\n' "$(printf ' --- |%.0s' $(seq $((4 + ${#PARTS[@]}))))"
for over in plain HTTP/2; do
  for replay in true false; do
    for entry in "${ASKS[@]}"; do measure "$replay" "$over" "${entry%%=*}" "${entry#*=}"; done
  done
done
