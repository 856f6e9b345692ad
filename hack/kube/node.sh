# shellcheck shell=bash disable=SC2034,SC2154
# The node part of "up"; sourced by it.
#
# A node is three namespaces (network, mount, PID) held by one process. Ending that one ends every
# process of the node, and its mounts and interfaces go with them: there is nothing to undo.
# A node has no way out. Packets to any foreign address are refused at once, so no image pull or
# look-up leaves the machine, or waits for a time-out.
#
# Node N has the address 198.18.0.N and gives its pods addresses of 10.244.N.0/24. The first runs
# the control plane too, and each other one is wired to it. Services have 10.96.0.0/16.
#
# A further network stands beside the nodes, as that of a person's machine does: it reaches the nodes'
# addresses, and no pod or Service otherwise. "exec" runs commands there.

node_address() { echo "198.18.0.$1"; } # NUMBER
outside_address=198.18.1.1

host_problem() { # why this machine can't run nodes, if it can't
  if [ "$(id -u)" != 0 ]; then
    echo "nodes need root"
  elif ! grep -q ' cgroup .*memory' /proc/mounts; then
    echo "nodes need a host with cgroup v1"
  else # a node covers these with folders of its own
    case $CLUSTER_DIR/ in /run/* | /var/run/* | /var/log/* | /var/lib/kubelet/*) echo "CLUSTER_DIR can't be under ${CLUSTER_DIR%/*}" ;; esac
  fi
}

system_images() {
  local name
  for name in pause coredns; do
    [ -e "$(image_archive "sallyport/$name:$tools_id")" ] ||
      "$here/build-image" "$here/images/$name.Dockerfile" "$bin" "sallyport/$name:$tools_id"
  done
}

start_in_node() { # NODE NAME COMMAND...
  start "$2" nsenter --target "$(init_of "$1")" --net --mount --pid -- "${@:3}"
}

create_node() { # NUMBER
  local node=node$1 home=$CLUSTER_DIR/node$1 address init hierarchy cgroup
  address=$(node_address "$1")
  mkdir -p "$home"/{kubelet,var-log} /var/lib/kubelet

  start "$node" unshare --net --mount --propagation private --pid --fork --mount-proc --kill-child "$bin/pause"
  # Its namespaces are complete when it has become "pause".
  while init=$(init_of "$node") && [ "$(cat "/proc/${init:-none}/comm" 2>/dev/null)" != pause ]; do sleep 0.02; done

  in_node "$node" bash -euc '
    mount --make-rshared /                     # what kubelet mounts must show up in containers
    mount -t tmpfs tmpfs /run                  # sockets of shims, names of pod networks, iptables lock
    mkdir /run/netns /run/lock
    mount --bind "$1/kubelet" /var/lib/kubelet # parts of kubelet insist on this path
    mount --bind "$1/var-log" /var/log         # logs of pods
    ip link set lo up
    # Service addresses need a route, since a packet is routed before it is redirected to a pod. The
    # other end of this pair takes no part: it stands in for a dummy device, not in every kernel.
    ip link add eth0 type veth peer name eth0-peer
    ip link set eth0-peer up
    ip link set eth0 up arp off
    ip address add "$2/32" dev eth0
    ip route add 10.96.0.0/16 dev eth0 src "$2"
    ip route add unreachable default
    sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.route_localnet=1
  ' -- "$home" "$address"

  if [ "$1" -gt 1 ]; then
    nsenter --target "$init" --net bash -euc '
      ip link add node1 type veth peer name "node$1" netns "$2"
      ip link set node1 up
      ip route add "$4" dev node1 src "$3"
      ip route add 198.18.0.0/24 via "$4" src "$3"
      ip route add 10.244.0.0/16 via "$4" src "$3"
      ip route add "$5" via "$4" src "$3"
    ' -- "$1" "$(init_of node1)" "$address" "$(node_address 1)" "$outside_address"
    in_node node1 bash -euc '
      ip link set "node$1" up
      ip route add "$2" dev "node$1" src "$3"
      ip route add "10.244.$1.0/24" via "$2" src "$3"
    ' -- "$1" "$address" "$(node_address 1)"
  fi

  for hierarchy in $(cgroup_hierarchies); do
    cgroup=$hierarchy/$(cgroup_name "$node")
    mkdir -p "$cgroup"
    if [ -e "$cgroup/cpuset.cpus" ]; then # empty at first, and then no process can be put there
      cat "$hierarchy/cpuset.cpus" >"$cgroup/cpuset.cpus"
      cat "$hierarchy/cpuset.mems" >"$cgroup/cpuset.mems"
    fi
  done
}

create_outside() {
  local holder
  start outside unshare --net "$bin/pause"
  while holder=$(pid_of outside) && [ "$(cat "/proc/$holder/comm")" != pause ]; do sleep 0.02; done
  nsenter --target "$holder" --net bash -euc '
    ip link set lo up
    ip link add eth0 type veth peer name outside netns "$2"
    ip address add "$0/32" dev eth0
    ip link set eth0 up
    ip route add "$1" dev eth0 src "$0"
    ip route add 198.18.0.0/24 via "$1" src "$0"
    ip route add unreachable default
  ' "$outside_address" "$(node_address 1)" "$(init_of node1)"
  in_node node1 bash -euc '
    ip link set outside up
    ip route add "$0" dev outside src "$1"
  ' "$outside_address" "$(node_address 1)"
}

start_runtime() { # NUMBER
  local node=node$1 home=$CLUSTER_DIR/node$1
  mkdir -p "$home"/{cni,registries/_default}

  # The node's own bridge; no masquerading, for every node has a route to every pod.
  cat >"$home/cni/10-pods.conflist" <<K
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.$1.0/24"}]], "dataDir": "$home/cni-data"}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
K
  # Every registry is a closed port: a pull fails at once with "connection refused".
  cat >"$home/registries/_default/hosts.toml" <<K
server = "http://127.0.0.1:1"
[host."http://127.0.0.1:1"]
  capabilities = ["pull", "resolve"]
K
  # restrict_oom_score_adj: no sandbox starts without it where root lacks CAP_SYS_RESOURCE, which
  # lowering a score takes; bin_dir: where Debian puts the plugins; opt: not in the host's /opt.
  cat >"$home/containerd.toml" <<K
version = 3
root = "$home/containerd"
state = "/run/containerd"
[grpc]
  address = "$home/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$home/opt"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "$pause_image"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "$home/registries"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "$home/cni"
K
  start_in_node "$node" "$node-containerd" "$bin/containerd" --config "$home/containerd.toml"
}

start_kubelet() { # NUMBER
  local node=node$1 home=$CLUSTER_DIR/node$1 address
  address=$(node_address "$1")
  certificate "$node" "/O=system:nodes/CN=system:node:$node" extendedKeyUsage=clientAuth,serverAuth \
    "subjectAltName=DNS:$node,IP:$address"
  kubeconfig "$node"

  # cgroupRoot: the node's own subtree, for down to remove. failCgroupV1: from 1.35 on kubelet
  # refuses v1 without it. oomScoreAdj: lowering it takes CAP_SYS_RESOURCE. evictionHard and
  # imageGC: the host's disk may be rather full, and an image collected can't be pulled again.
  # resolvConf: there is no name server outside. nodeStatusUpdateFrequency: the first status says
  # "not ready", and the second one comes this much later (10 s by default). syncFrequency: a
  # changed Secret or ConfigMap reaches its volume within seconds, not within a minute.
  cat >"$home/kubelet.yaml" <<K
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $pki/$node.crt
tlsPrivateKeyFile: $pki/$node.key
containerRuntimeEndpoint: unix://$home/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$(cgroup_name "$node")
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
evictionHard: {imagefs.available: "0%", nodefs.available: "0%", nodefs.inodesFree: "0%", memory.available: 100Mi}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
resolvConf: ""
clusterDomain: cluster.local
clusterDNS: [10.96.0.10]
nodeStatusUpdateFrequency: 1s
syncFrequency: 10s
K
  # conntrack: those sysctls can't be written in a network namespace. minSyncPeriod: with the default of 1 s
  # a Service may still lead to a pod that is gone just after a rollout has ended.
  cat >"$home/kube-proxy.yaml" <<K
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: $pki/proxy.conf}
clusterCIDR: 10.244.0.0/16
hostnameOverride: $node
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
iptables: {minSyncPeriod: 0s}
K
  "$here/load-image" "$pause_image" "$dns_image"
  start_in_node "$node" "$node-kubelet" "$bin/kubelet" --config="$home/kubelet.yaml" --kubeconfig="$pki/$node.conf" \
    --hostname-override="$node" --node-ip="$address"
  start_in_node "$node" "$node-kube-proxy" "$bin/kube-proxy" --config="$home/kube-proxy.yaml"
}
