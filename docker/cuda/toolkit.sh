# shellcheck shell=bash
# CUDA for install-caffe.sh, which reads this file: a toolkit, and the flags to build Caffe with it.
#
# find_toolkit VERSION     sets toolkit, cuda (13.0) and fetched (yes, or empty for the machine's own)
# cuda_flags ARCHITECTURES sets the array flags, for CMake; an empty string takes all there are

readonly oldest_cuda=11.8 pinned_cuda=13.0
cuda_files=$(dirname "${BASH_SOURCE[0]}")

find_toolkit() {
  local wanted=$1
  toolkit=$(own_toolkit)
  fetched=
  if [ -n "$toolkit" ] && [ -n "$wanted" ] && [ "$(release_of "$toolkit")" != "$wanted" ]; then
    toolkit=
  fi
  [ -n "$toolkit" ] || fetch_toolkit "${wanted:-$pinned_cuda}"
  cuda=$(release_of "$toolkit")
  [ -n "$cuda" ] || die "$toolkit/bin/nvcc does not run; name another toolkit with CUDA_HOME"
  at_least "$cuda" "$oldest_cuda" && ! at_least "$cuda" 14.0 ||
    die "the CUDA at $toolkit is $cuda; this Caffe builds with $oldest_cuda to 13: name one with CUDA_HOME"
  check_compiler
  echo "CUDA $cuda: $toolkit"
}

# The machine's toolkit, if it is whole: CUDA_HOME, or the one whose nvcc is on PATH.
own_toolkit() {
  local root=${CUDA_HOME:-} missing=() header
  if [ -z "$root" ] && command -v nvcc > /dev/null; then
    root=$(nvcc --dryrun -x cu -c /dev/null 2>&1 | sed -n 's/^#\$ TOP=//p')
  fi
  [ -n "$root" ] || return 0
  for header in cublas_v2.h curand.h cudnn.h; do
    [ -e "$root/include/$header" ] || [ -e "/usr/include/$header" ] ||
      [ -e "/usr/include/$(gcc -print-multiarch)/$header" ] || missing+=("$header")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    readlink -f "$root"
  elif [ -n "${CUDA_HOME:-}" ]; then
    die "CUDA_HOME=$root has no ${missing[*]}; install the rest of it, or unset CUDA_HOME to fetch CUDA $pinned_cuda"
  else
    echo "the CUDA at $root has no ${missing[*]}" >&2
  fi
}

release_of() { "$1/bin/nvcc" --version 2> /dev/null | sed -n 's/.*release \([0-9.]*\),.*/\1/p'; }

at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -1)" = "$2" ]; }

# NVIDIA's wheels, with their hashes checked, laid out as FindCUDA wants a toolkit.
fetch_toolkit() {
  local pins=$cuda_files/wheels-$1.txt wheels=$work/wheels library
  [ -e "$pins" ] || die "no wheels are pinned for CUDA $1, only for $pinned_cuda; or name a toolkit with CUDA_HOME"
  [ "$(uname -m)" = x86_64 ] || die "the wheels are for x86_64; name a toolkit with CUDA_HOME"
  has_room "$work" 6 "name another folder with BUILD_DIR"
  has_room "$prefix" 2 "make room there, or install into another folder"
  echo "fetching CUDA $1, 1.1 GB"
  "$prefix/venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps --no-compile \
    --require-hashes --target "$wheels" -r "$pins" ||
    die "CUDA $1 cannot be fetched; see above, and run the same command again"
  toolkit=$work/cuda
  fetched=yes
  rm -rf "$toolkit"
  mkdir -p "$toolkit"/{include,lib64}
  ln -s "$wheels"/nvidia/cu13/{bin,nvvm} "$toolkit/"
  cp -rs "$wheels"/nvidia/*/include/. "$toolkit/include/"
  cp -s "$wheels"/nvidia/*/lib/lib*.{so.*,a} "$toolkit/lib64/"
  for library in "$toolkit"/lib64/*.so.*; do
    ln -sf "$(basename "$library")" "${library%.so.*}.so"
  done
}

has_room() {
  local folder=$1 needed=$2 remedy=$3 free
  free=$(($(df --output=avail -k "$folder" | tail -1) / 1000000))
  [ "$free" -ge "$needed" ] || die "$folder has $free GB free, CUDA needs $needed; $remedy"
}

check_compiler() {
  local said
  said=$("$toolkit/bin/nvcc" -ccbin "${CUDAHOSTCXX:-g++}" -std=c++17 -x cu -c -o /dev/null - 2>&1 \
    <<< '__global__ void nothing() {}') ||
    die "nvcc of CUDA $cuda does not work with ${CUDAHOSTCXX:-g++} ($(grep -m1 -i error <<< "$said")); name an older compiler with CUDAHOSTCXX"
}

# Architectures that a toolkit compiles for; Caffe needs no feature of a certain one.
architectures_of() {
  case $1 in
    11.*) echo 35 50 60 61 70 75 80 86 89 90 ;;
    12.[0-7]) echo 50 60 61 70 75 80 86 89 90 ;;
    12.*) echo 50 60 61 70 75 80 86 89 90 100 120 ;;
    *) echo 75 80 86 89 90 100 120 ;;
  esac
}

cuda_flags() {
  local known wanted=${1//[.]/} each nvcc='-std=c++17;-O3;-DNDEBUG;-w;-Xcompiler;-fPIC' cudnn
  known=$(architectures_of "$cuda")
  wanted=${wanted//,/ }
  for each in $wanted; do
    [[ " $known " = *" $each "* ]] || die "--arch $each is not among those of CUDA $cuda: $known"
  done
  architectures=${wanted:-$known}
  # The tests call a kernel of the library, which CUDA 12.8 and later would hide from them.
  for each in static-global-template-stub device-entity-has-hidden-visibility; do
    ! "$toolkit/bin/nvcc" --help | grep -- "--$each " > /dev/null || nvcc+=";-$each=false"
  done
  cudnn=$(dirname "$(find "$toolkit/include" /usr/include -maxdepth 2 -name cudnn.h | head -1)")
  flags=(
    -DCPU_ONLY=OFF -DUSE_CUDNN=ON "-DCUDA_TOOLKIT_ROOT_DIR=$toolkit" "-DCUDNN_INCLUDE=$cudnn"
    "-DCUDA_HOST_COMPILER=${CUDAHOSTCXX:-/usr/bin/g++}" -DCUDA_PROPAGATE_HOST_FLAGS=OFF
    -DCUDA_ARCH_NAME=Manual "-DCUDA_ARCH_BIN=$architectures" "-DCUDA_ARCH_PTX=${architectures##* }"
    "-DCUDA_NVCC_FLAGS=$nvcc"
  )
  # Only what is kept may be looked for: the fetched toolkit is removed.
  [ -z "$fetched" ] ||
    flags+=(-DCMAKE_INSTALL_RPATH_USE_LINK_PATH=OFF -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON
      "-DCMAKE_SHARED_LINKER_FLAGS=$(run_path)" "-DCMAKE_EXE_LINKER_FLAGS=$(run_path)")
  [ ! -e "$toolkit/include/nccl.h" ] ||
    flags+=(-DUSE_NCCL=ON "-DNCCL_INCLUDE_DIR=$toolkit/include" "-DNCCL_LIBRARIES=$toolkit/lib64/libnccl.so")
}

run_path() { echo "-Wl,-rpath,$prefix/lib/cuda -Wl,-rpath-link,$toolkit/lib64"; }

# What the programs load, where CUDA was fetched: found by their run path, beside libcaffe.  Of
# cuDNN not libcudnn_adv (recurrent nets, attention), which is loaded when one of its functions is
# called; Caffe calls none.
keep_libraries() {
  [ -n "$fetched" ] || return 0
  mkdir -p "$prefix/lib/cuda"
  cp -L "$toolkit"/lib64/lib{cudart,cublas,cublasLt,curand,cudnn,cudnn_*,nccl}.so.* "$prefix/lib/cuda/"
  rm "$prefix"/lib/cuda/libcudnn_adv.so.*
}
