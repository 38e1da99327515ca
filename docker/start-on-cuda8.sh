#!/bin/bash
# The entry point on the original stack: says at once what would else come out as an error of CUDA
# in the middle of a training, then becomes caffe-transfer, so that signals reach it.
set -euo pipefail

# CUDA 8 knows no card after Pascal, whose compute capability is 6.x.
readonly first_unknown=7

say_if_too_new() {
  local card
  card=$(nvidia-smi --query-gpu=compute_cap,name --format=csv,noheader 2>/dev/null |
    awk -F', ' -v first="$first_unknown" '$1 + 0 >= first { print $2 " (" $1 ")"; exit }') || return 0
  [ -z "$card" ] || echo "caffe-transfer: $card is newer than CUDA 8, for which this image's Caffe" \
    "has code up to compute capability 6.1, so training on it will fail; use the image" \
    "caffe-transfer:gpu." >&2
}

say_if_too_new
exec /opt/caffe-transfer/bin/python -I -m caffe_transfer "$@"
