# Read by build-here.sh and test-image.sh: how containers are run on this machine.
#   containers  the program and its options: Docker where its daemon answers, else podman
#   limits      open files and processes; podman asks for more than an ordinary machine grants
# shellcheck shell=bash
# shellcheck disable=SC2034  # used by those who read this file

podman_here() {
  containers=(podman --cgroup-manager cgroupfs --runtime runc)
  limits=(--ulimit "nofile=$(ulimit -Hn):$(ulimit -Hn)" --ulimit "nproc=$(ulimit -Hu):$(ulimit -Hu)")
}

docker_here() {
  containers=(docker)
  limits=()
}
