#!/bin/bash
# Fails the build of an image unless the version found is the pinned one, or one of its patches
# (3.11.2 is a 3.11); notes it in the file that `caffe-transfer doctor` prints.
#
#   pin.sh NAME PINNED FOUND
set -euo pipefail

readonly versions=/etc/caffe-transfer-image

main() {
  local name=$1 pinned=$2 found=$3
  case $found in
    "$pinned" | "$pinned".*) echo "$name: $found" | tee -a "$versions" ;;
    *) echo "$name is pinned to $pinned, but the image has ${found:-none}" >&2; exit 1 ;;
  esac
}

main "$@"
