#!/usr/bin/env bash
# Builds etcd, Kubernetes (API server, controller manager, scheduler, kubelet, kubectl), keyring/ (the kubelet's choice of
# credentials) and containerd 2 with its shim from Go modules at pinned versions, for the tests in this folder.
#
#   build-kube.sh [kwok]        into $HOMEPORT_PEERS/bin, by default ~/.cache/homeport-peers/bin; what is there already is kept;
#                               with kwok (stand-in for kubelets) as well, for benchmarks/cluster
#
# GO names the Go command (1.26 or newer). About six minutes on two cores from a cold start.
set -euo pipefail

KUBERNETES=v1.36.3
ETCD=v3.6.5
CONTAINERD=v2.4.2
KWOK=v0.7.0
GO=${GO:-go}
HERE=$(cd "$(dirname "$0")" && pwd)
FOLDER=${HOMEPORT_PEERS:-$HOME/.cache/homeport-peers}/bin

mkdir -p "$FOLDER"
FOLDER=$(cd "$FOLDER" && pwd)
WORK=$(mktemp -d "$FOLDER/.build-XXXXXX")
trap 'rm -rf "$WORK"' EXIT
cd "$WORK"

# build PROGRAM PACKAGE [FLAG...]: the program appears under its name when it is whole.
build() {
  local program=$1 package=$2
  shift 2
  "$GO" build -mod=mod -trimpath -buildvcs=false "$@" -o "$program" "$package"
  mv "$program" "$FOLDER/$program"
}

# Kubernetes is one repository that is published as many modules: its own go.mod names them at v0.0.0 and points them at
# folders of the repository. A module that depends on it has to point each at the published version instead.
write_kubernetes_module() {
  local published=v0.${KUBERNETES#v1.} own
  printf 'module homeport.test/kubernetes\ngo 1.26\n' > go.mod
  own=$("$GO" mod download -json "k8s.io/kubernetes@$KUBERNETES" | sed -n 's/^\t"GoMod": "\(.*\)",\{0,1\}$/\1/p')
  {
    echo "require k8s.io/kubernetes $KUBERNETES"
    sed -n "s|^\t*\(k8s\.io/[a-z-]*\) => \./staging/.*|replace \1 => \1 $published|p" "$own"
  } >> go.mod
}

programs=()
for program in kube-apiserver kube-controller-manager kube-scheduler kubelet kubectl homeport-keyring; do
  [ -x "$FOLDER/$program" ] || programs+=("$program")
done
if [ ${#programs[@]} -gt 0 ]; then
  write_kubernetes_module
  cp -r "$HERE/keyring" .
  version=k8s.io/component-base/version
  minor=${KUBERNETES#v1.}
  flags="-s -w -X $version.gitVersion=$KUBERNETES -X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*}"
  for program in "${programs[@]}"; do
    package=k8s.io/kubernetes/cmd/$program
    [ "$program" = homeport-keyring ] && package=./keyring
    build "$program" "$package" -ldflags "$flags"
  done
fi

if [ ! -x "$FOLDER/etcd" ]; then
  rm -f go.mod go.sum
  printf 'module homeport.test/etcd\ngo 1.26\nrequire go.etcd.io/etcd/server/v3 %s\n' "$ETCD" > go.mod
  build etcd go.etcd.io/etcd/server/v3 -ldflags "-s -w"
fi

# Debian's containerd 1.6 keeps its name; what no test needs of this one is left out, and builds in half the time.
if [ ! -x "$FOLDER/containerd2" ] || [ ! -x "$FOLDER/containerd2-shim" ]; then
  rm -f go.mod go.sum
  printf 'module homeport.test/containerd\ngo 1.26\nrequire github.com/containerd/containerd/v2 %s\n' "$CONTAINERD" > go.mod
  package=github.com/containerd/containerd/v2
  flags="-s -w -X $package/version.Version=$CONTAINERD"
  tags=no_btrfs,no_devmapper,no_zfs,no_erofs,no_gateway,no_tracing
  build containerd2-shim "$package/cmd/containerd-shim-runc-v2" -tags "$tags" -ldflags "$flags"
  build containerd2 "$package/cmd/containerd" -tags "$tags" -ldflags "$flags"
fi

if [ "${1:-}" = kwok ] && [ ! -x "$FOLDER/kwok" ]; then
  GOBIN=$WORK GOFLAGS=-buildvcs=false "$GO" install "sigs.k8s.io/kwok/cmd/kwok@$KWOK"
  mv "$WORK/kwok" "$FOLDER/kwok"
fi
