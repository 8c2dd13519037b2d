#!/usr/bin/env bash
# Install the real peers that `make test-peers` runs against: Debian packages (as root), and Go modules at pinned versions.
# Binaries are kept in HOMEPORT_PEERS (default ~/.cache/homeport-peers) and made once.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
peers=${HOMEPORT_PEERS:-$HOME/.cache/homeport-peers}
bin=$peers/bin
go_version=1.26.8

debian_packages=(buildah busybox-static ca-certificates containerd containernetworking-plugins docker-registry docker.io iptables nginx-light runc skopeo strace wrk)
go_peers=(
  "crane github.com/google/go-containerregistry/cmd/crane@v0.22.1"
  "regctl github.com/regclient/regclient/cmd/regctl@v0.11.7"
  "regsync github.com/regclient/regclient/cmd/regsync@v0.11.7"
  "oras oras.land/oras/cmd/oras@v1.3.6"
  "cosign github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3"
  "registry github.com/distribution/distribution/v3/cmd/registry@v3.1.2"
  "ggcr-registry github.com/google/go-containerregistry/cmd/registry@v0.22.1"
  "helm3 helm.sh/helm/v3/cmd/helm@v3.22.0"
  "helm4 helm.sh/helm/v4/cmd/helm@v4.3.1"
  "conformance github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111"
)

install_debian_packages() {
  local missing=()
  for package in "${debian_packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  export DEBIAN_FRONTEND=noninteractive
  # Nothing that a package brings is to start by itself: the tests start what they need.
  printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
  rm -f /usr/sbin/policy-rc.d
}

# Debian's Go is older than the peers ask for, so a pinned toolchain comes from the module proxy.
find_go() {
  if command -v go > /dev/null && [ "$(printf '%s\n' "go$go_version" "$(go env GOVERSION)" | sort -V | head -n 1)" = "go$go_version" ]; then
    command -v go
    return
  fi
  local arch sum
  case $(uname -m) in
    x86_64) arch=amd64 sum=30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7 ;;
    aarch64) arch=arm64 sum=02b36b6787b3ac767668f630e2998df45a3b1f9ffee08d1bf3ef6487cd658d99 ;;
    *) echo "no pinned Go toolchain for $(uname -m); install Go $go_version or newer" >&2; exit 2 ;;
  esac
  local root=$peers/golang.org/toolchain@v0.0.1-go$go_version.linux-$arch
  if [ ! -x "$root/bin/go" ]; then
    python3 "$here/fetch_zip.py" \
      "https://proxy.golang.org/golang.org/toolchain/@v/v0.0.1-go$go_version.linux-$arch.zip" "$sum" "$peers"
  fi
  echo "$root/bin/go"
}

[ "$(uname -s)" = Linux ] || { echo "real peers are installed on Linux only" >&2; exit 2; }
mkdir -p "$bin"
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  install_debian_packages
else
  echo "not root on Debian: install these yourself: ${debian_packages[*]}" >&2
fi
go=$(find_go)
for peer in "${go_peers[@]}"; do
  read -r name module <<< "$peer"
  [ -x "$bin/$name" ] && continue
  # Two versions of one program have one name: each is made in a folder of its own.
  made=$(mktemp -d "$bin/.made.XXXXXX")
  GOBIN=$made GOFLAGS=-buildvcs=false "$go" install "$module"
  mv "$made"/* "$bin/$name"
  rmdir "$made"
done
GO=$go HOMEPORT_PEERS=$peers bash "$here/build-kube.sh"
