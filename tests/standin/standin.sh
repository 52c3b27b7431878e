#!/usr/bin/env bash
# A stand-in for Amazon ECR made of real parts: docker-registry on ministack's S3, so that a blob is answered
# as ECR does it, by a 307 to a pre-signed S3 URL whose signature is checked; Basic auth with a token that the
# ECR API beside it hands out (ecr_api.py says why that one is our own).
#
#   standin.sh up DIR       start it, all its state in DIR
#   standin.sh down DIR     stop it; up starts it again, empty
#   standin.sh rotate DIR   a new token: the old one is refused and the API gives the new one, both at once
#   standin.sh mark DIR     begin to count requests here
#   standin.sh hosts        the lines of /etc/hosts that NAMES=1 needs, to be there before up
#   standin.sh counts DIR   "TIMES METHOD STATUS PATH" of what the registry was asked since mark
#
# Ports, all on 127.0.0.1: S3 on BASE (default 22100), registry on BASE+1, ECR API on BASE+2.
# With NAMES=1 it speaks TLS on port 443 under Amazon's own names instead: made for a network and mount namespace
# of one's own, where its three addresses (`standin.sh hosts`) are on an interface and DIR/ca.pem is trusted.
# They are none of 127.0.0.0/8, since Docker takes any name that leads there for insecure.
# DIR/standin.env says where everything is, as lines NAME=VALUE; DIR/token is the token in force, DIR/calls has
# one line for every token handed out since mark.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOOLS=${ARCHWAY_TOOLS:-$(cd "$HERE/../.." && pwd)/.tools}
BASE=${BASE:-22100}
REGION=us-east-1
ACCOUNT=123456789012
REGISTRY_HOST=$ACCOUNT.dkr.ecr.$REGION.amazonaws.com
API_HOST=api.ecr.$REGION.amazonaws.com
S3_HOST=s3.$REGION.amazonaws.com
BUCKET=standin-starport-layer-bucket
export AWS_ACCESS_KEY_ID=AKIASTANDIN000000000 AWS_SECRET_ACCESS_KEY=stand-in-secret AWS_DEFAULT_REGION=$REGION
DEADLINE_SECONDS=30

fail() {
  printf 'standin.sh: %s\n' "$*" >&2
  exit 1
}

# Sets where each part listens and under which URL the others reach it.
places() {
  if [ "${NAMES:-}" = 1 ]; then
    REGISTRY_ADDRESS=192.0.2.1 API_ADDRESS=192.0.2.2 S3_ADDRESS=192.0.2.3
    REGISTRY_PORT=443 API_PORT=443 S3_PORT=443
    REGISTRY_URL=https://$REGISTRY_HOST API_URL=https://$API_HOST S3_URL=https://$S3_HOST
  else
    REGISTRY_ADDRESS=127.0.0.1 API_ADDRESS=127.0.0.1 S3_ADDRESS=127.0.0.1
    S3_PORT=$BASE REGISTRY_PORT=$((BASE + 1)) API_PORT=$((BASE + 2))
    REGISTRY_URL=http://127.0.0.1:$REGISTRY_PORT API_URL=http://127.0.0.1:$API_PORT S3_URL=http://127.0.0.1:$S3_PORT
  fi
}

# Starts a command in the background: output in NAME.log, errors in NAME.err, process id in NAME.pid.
start() {
  local name=$1
  shift
  nohup "$@" >"$name.log" 2>"$name.err" </dev/null &
  printf '%s\n' $! >"$name.pid"
}

# True while process $1 runs; one that ended and only waits to be reaped does not count.
runs() {
  local state
  state=$(ps -o stat= -p "$1") && [ "${state:0:1}" != Z ]
}

# Waits until part $1 answers HTTP at URL $2 with anything at all.
answers() {
  local name=$1 url=$2 until=$((SECONDS + DEADLINE_SECONDS))
  until curl -s -o /dev/null --noproxy '*' --cacert ca.pem "$url"; do
    if ! runs "$(cat "$name.pid")" || [ $SECONDS -ge $until ]; then
      tail -n 20 "$name.log" "$name.err" >&2
      fail "$name does not answer at $url"
    fi
    sleep 0.1
  done
}

certificates() {
  local ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
  openssl req -x509 "${ec[@]}" -days 30 -keyout ca.key -out ca.pem -subj "/CN=Archway ECR stand-in CA" 2>/dev/null
  openssl req "${ec[@]}" -keyout server.key -out server.csr -subj "/CN=$REGISTRY_HOST" 2>/dev/null
  printf 'subjectAltName=DNS:%s,DNS:%s,DNS:%s,DNS:localhost,IP:127.0.0.1\n' \
    "$REGISTRY_HOST" "$API_HOST" "$S3_HOST" >server.ext
  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
    -extfile server.ext -out server.pem 2>/dev/null
}

new_token() {
  printf 'standin-%s\n' "$(openssl rand -hex 16)" >token.new
  mv token.new token
}

# docker-registry reads the file again when its time of change moved on by a full second: make sure it did.
accept_token() {
  local before=0
  [ ! -e htpasswd ] || before=$(stat -c %Y htpasswd)
  htpasswd -Bbn AWS "$(cat token)" >htpasswd.new
  touch -d "@$((before + 2 > $(date +%s) ? before + 2 : $(date +%s)))" htpasswd.new
  mv htpasswd.new htpasswd
}

registry_config() {
  cat <<YAML
version: 0.1
log: {level: warn, accesslog: {disabled: false}}
storage:
  s3:
    accesskey: $AWS_ACCESS_KEY_ID
    secretkey: $AWS_SECRET_ACCESS_KEY
    region: $REGION
    regionendpoint: $S3_URL
    bucket: $BUCKET
    encrypt: false
    v4auth: true
    rootdirectory: /
  redirect: {disable: false}
  maintenance: {uploadpurging: {enabled: false}}
http:
  addr: $REGISTRY_ADDRESS:$REGISTRY_PORT
  secret: stand-in
$([ "${NAMES:-}" != 1 ] || printf '  tls: {certificate: %s/server.pem, key: %s/server.key}' "$PWD" "$PWD")
auth:
  htpasswd: {realm: "https://$REGISTRY_HOST/", path: $PWD/htpasswd}
YAML
}

start_s3() {
  local tls=() port=$S3_PORT
  if [ "${NAMES:-}" = 1 ]; then
    # With TLS it binds 443 beside the port it is given, and fails when that one is 443 too.
    tls=(USE_SSL=1 "MINISTACK_SSL_CERT=$PWD/server.pem" "MINISTACK_SSL_KEY=$PWD/server.key") port=4566
  fi
  start s3 env BIND_HOST="$S3_ADDRESS" GATEWAY_PORT="$port" SERVICES=s3,sts AUTH=true \
    MINISTACK_ACCOUNT_ID=$ACCOUNT S3_DATA_DIR="$PWD/s3" TMPDIR="$PWD" \
    IOT_MTLS_ENABLED=0 SFTP_ENABLED=0 DOCKER_HOST=unix:///nonexistent.sock "${tls[@]}" "$TOOLS/venv/bin/ministack"
  answers s3 "$S3_URL/"
  curl -sS --fail -o /dev/null --noproxy '*' --cacert ca.pem -X PUT "$S3_URL/$BUCKET" \
    --aws-sigv4 "aws:amz:$REGION:s3" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY"
}

start_api() {
  local tls=()
  [ "${NAMES:-}" != 1 ] || tls=(--certificate server.pem --key server.key)
  start api "$TOOLS/venv/bin/python" "$HERE/ecr_api.py" --address "$API_ADDRESS" --port "$API_PORT" \
    --registry $REGISTRY_HOST --access-key $AWS_ACCESS_KEY_ID --token-file token --calls-file calls "${tls[@]}"
  answers api "$API_URL/"
}

# Its S3 driver panics when AWS_CA_BUNDLE is set; SSL_CERT_FILE is what its TLS goes by.
start_registry() {
  registry_config >registry.yml
  start registry env -u AWS_CA_BUNDLE SSL_CERT_FILE="$PWD/ca.pem" docker-registry serve registry.yml
  answers registry "$REGISTRY_URL/v2/"
}

up() {
  [ -x "$TOOLS/venv/bin/ministack" ] || fail "ministack is missing: run tests/tools/install.sh demo"
  places
  rm -rf s3
  : >calls
  printf '0\n' >mark
  certificates
  cat >standin.env <<ENV
STANDIN_HOST=$REGISTRY_HOST
STANDIN_REGISTRY=$REGISTRY_URL
STANDIN_API=$API_URL
STANDIN_S3=$S3_URL
AWS_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID
AWS_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY
AWS_DEFAULT_REGION=$REGION
ENV
  new_token
  accept_token
  trap down EXIT
  start_s3
  start_api
  start_registry
  trap - EXIT
}

stop() {
  local pid=$1 until=$((SECONDS + 5))
  kill "$pid" 2>/dev/null || return 0
  while runs "$pid"; do
    [ $SECONDS -lt $until ] || kill -KILL "$pid" 2>/dev/null || return 0
    sleep 0.05
  done
}

down() {
  local name
  for name in registry api s3; do
    [ -e $name.pid ] || continue
    stop "$(cat $name.pid)"
    rm $name.pid
  done
}

rotate() {
  new_token
  accept_token
}

mark() {
  wc -l <registry.log >mark
  : >calls
}

# Log lines read: ADDRESS - USER [DATE ZONE] "METHOD PATH HTTP/1.1" STATUS SIZE ...
counts() {
  tail -n "+$(($(cat mark) + 1))" registry.log |
    awk '$6 ~ /^"[A-Z]+$/ { print substr($6, 2), $9, $7 }' | sort | uniq -c | awk '{ print $1, $2, $3, $4 }'
}

main() {
  if [ "$*" = hosts ]; then
    NAMES=1 places
    printf '%s %s\n' $REGISTRY_ADDRESS $REGISTRY_HOST $API_ADDRESS $API_HOST $S3_ADDRESS $S3_HOST
    return
  fi
  [ $# = 2 ] || fail "usage: standin.sh up|down|rotate|mark|counts DIR, or standin.sh hosts"
  mkdir -p "$2"
  cd "$2"
  case $1 in
    up | down | rotate | mark | counts) "$1" ;;
    *) fail "no such command: $1" ;;
  esac
}

main "$@"
