# Read by build-here.sh and test-image.sh: how containers are run on this machine.  Sets
#   containers  the program with its options
#   limits      options for open files and processes
# shellcheck shell=bash
# shellcheck disable=SC2034  # used by those who read this file

# runc and cgroupfs also serve where systemd does not run.  Without limits of its own, podman asks
# for more than an ordinary machine grants; 32768 processes are the most it gives to a build.
use_podman() {
  local files processes
  files=$(at_most 20000 "$(ulimit -Hn)")
  processes=$(at_most 32768 "$(ulimit -Hu)")
  containers=(podman --cgroup-manager cgroupfs --runtime runc)
  limits=(--ulimit "nofile=$files:$files" --ulimit "nproc=$processes:$processes")
}

at_most() {
  if [ "$2" = unlimited ] || [ "$2" -gt "$1" ]; then echo "$1"; else echo "$2"; fi
}

use_docker_or_podman() {
  if docker info &>/dev/null; then
    containers=(docker)
    limits=()
  else
    use_podman
  fi
}
