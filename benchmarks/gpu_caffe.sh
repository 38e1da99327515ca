#!/bin/bash
# Real Caffe on a GPU, on a machine that can fetch nothing: its own test suite, its losses beside
# those of the processor, and its speed beside caffe-torch and a plain PyTorch loop.
#
#   benchmarks/gpu_caffe.sh pack BUILD BUNDLE     where Caffe was built; makes one file of 60 MB at most
#   benchmarks/gpu_caffe.sh run BUNDLE [FOLDER]   on the machine with the card; logs go to FOLDER
#
# BUILD is a CMake folder of Caffe with CUDA and its target test.testbin, without OpenCV.  The
# bundle holds the program, the tests, their data and the libraries that a plain Linux lacks; those
# of CUDA and cuDNN come with PyTorch's wheels, which caffe-torch needs there anyway: see gpu.py for
# the others.  About 7 minutes on 16 cores and an H200.
set -euo pipefail

readonly data=src/caffe/test/test_data  # from where the tests run
readonly shards=${SHARDS:-4}  # of the tests, which take turns on the card
# Every Linux has these, or CUDA's wheels bring them.
readonly theirs='libc|libm|libdl|librt|libpthread|libresolv|libstdc\+\+|libgcc_s|libz|libcud.*|libcublas.*|libcurand'

die() { echo "gpu_caffe.sh: $*" >&2; exit 2; }

main() {
  case ${1:-} in
    pack) [ $# -eq 3 ] || die "pack takes BUILD and BUNDLE"; pack "$2" "$3" ;;
    run) [ $# -ge 2 ] || die "run takes BUNDLE"; run "$2" "${3:-.}" ;;
    *) die "say pack or run; see the head of this file" ;;
  esac
}

pack() {
  local build=$1 bundle=$2 library source
  scratch
  mkdir -p "$scratch"/{bin,lib} "$scratch/$data"
  cp "$build/tools/caffe" "$build/test/test.testbin" "$scratch/bin/"
  cp -L "$build"/lib/libcaffe.so.1.0.0 "$scratch/lib/"
  ldd "$build/test/test.testbin" | awk '$3 ~ /^\// { print $3 }' | while read -r library; do
    basename "$library" | grep -qE "^($theirs)\.so" || cp -L "$library" "$scratch/lib/"
  done
  strip "$scratch"/bin/* "$scratch"/lib/*.so* 2>/dev/null || true
  source=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$build/CMakeCache.txt")
  cp "$source/$data"/* "$scratch/$data/"
  tar -C "$scratch" -cJf "$bundle" .
  du -h "$bundle"
}

run() {
  local bundle=$1 logs libraries
  mkdir -p "$2"
  logs=$(cd "$2" && pwd)
  scratch
  tar -C "$scratch" -xJf "$bundle"
  libraries=$scratch/lib:$(wheels)
  program caffe
  program test.testbin
  "$scratch/caffe" --version
  "$scratch/caffe" device_query -gpu all 2>&1 | sed 's/^.*\] //'
  python3 -m benchmarks.gpu --caffe "$scratch/caffe"
  python3 -m benchmarks.devices --caffe "$scratch/caffe"
  tests "$logs/others" '-*Gradient*'
  tests "$logs/gradients" '*Gradient*'
}

scratch() {
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
}

# The folders of CUDA's libraries in the wheels that came with PyTorch.
wheels() {
  python3 - <<'END'
import pathlib, nvidia
print(*(lib for root in nvidia.__path__ for lib in pathlib.Path(root).glob("*/lib")), sep=":")
END
}

# Python must not see the bundle's libraries, which are older than its own.
program() {
  printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\n' "$libraries" "$scratch/bin/$1" > "$scratch/$1"
  chmod +x "$scratch/$1"
}

# Tests of the processor run too.  A gradient is checked by thousands of small passes, for which
# processes would only wait for each other on the card: those tests come last.
tests() {
  local logs=$1 filter=$2 shard started=$SECONDS
  for ((shard = 0; shard < shards; shard++)); do
    GTEST_TOTAL_SHARDS=$shards GTEST_SHARD_INDEX=$shard OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
      timeout "${TEST_SECONDS:-1200}" env -C "$scratch" ./test.testbin --gtest_filter="$filter" \
      > "$logs-$shard.log" 2>&1 || true &
  done
  wait
  echo "Caffe's tests $filter, $((SECONDS - started)) s:" \
    "$(cat "$logs"-*.log | grep -c '^\[       OK') passed," \
    "$(cat "$logs"-*.log | grep -c '^\[  FAILED  \].*ms)') failed"
  grep -h '^\[  FAILED  \].*ms)' "$logs"-*.log || true
  for ((shard = 0; shard < shards; shard++)); do
    grep -qE '^\[==========\] .* ran' "$logs-$shard.log" ||
      echo "shard $shard was stopped in $(grep '^\[ RUN' "$logs-$shard.log" | tail -1)"
  done
}

main "$@"
