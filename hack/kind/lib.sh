# shellcheck shell=bash disable=SC2034
# Paths and helpers shared by the scripts in this folder. Sourced, never run.
CLUSTER_DIR=${CLUSTER_DIR:-${TMPDIR:-/tmp}/sallyport-kind}
. "$(dirname "${BASH_SOURCE[0]}")/../kube/lib.sh"

kind=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
hash() { cat "$@" | sha256sum | cut -c1-16; }
kind_bin=$cache/kind-$(hash "$kind/tools/go.sum" "$kind/tools/coredns/main.go")/bin
docker_dir=$cache/docker # Debian's packages, unpacked

# Each is named after all that goes into it.
node_image=sallyport/kind-node:$(hash "$kind/build" "$kind"/node/*)
kubernetes_image=sallyport/kubernetes:$(hash "$kind/kubernetes.Dockerfile" "$kind/tools/go.sum" "$here/tools/go.sum")

export KUBECONFIG=$CLUSTER_DIR/kubeconfig
export PATH=$kind_bin:$PATH

# Whether kind's own node image can be had: a Docker engine runs, and a registry answers it.
ordinary_docker() {
  docker version >/dev/null 2>&1 && timeout 30 docker manifest inspect kindest/node:v1.34.0 >/dev/null 2>&1
}
