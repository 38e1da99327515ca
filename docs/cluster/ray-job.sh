#!/bin/bash
# The study `paper` on a Ray cluster, started on one of its nodes or by `ray job submit`, which sets
# RAY_ADDRESS. Run again, it goes on.
export RAY_ADDRESS=${RAY_ADDRESS:-auto}
exec caffe-transfer run paper --out "${OUT:-/shared/paper}" --from "${IMAGES:-/shared/ILSVRC2012}" \
    --on ray --threads 8 --scheduler-option num_cpus=8
