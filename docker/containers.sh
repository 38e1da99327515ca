# Read by build-here.sh and test-image.sh: how containers are run on this machine.  Sets
#   containers  the program with its options
#   limits      options for open files and processes
# shellcheck shell=bash
# shellcheck disable=SC2034  # used by those who read this file

# runc and cgroupfs also serve where systemd does not run.  Without limits of its own, podman asks
# for more open files than an ordinary machine grants.
use_podman() {
  containers=(podman --cgroup-manager cgroupfs --runtime runc)
  limits=(
    --ulimit "nofile=$(ulimit -Hn):$(ulimit -Hn)"
    --ulimit "nproc=$(ulimit -Hu):$(ulimit -Hu)"
  )
}

use_docker_or_podman() {
  if docker info &>/dev/null; then
    containers=(docker)
    limits=()
  else
    use_podman
  fi
}
