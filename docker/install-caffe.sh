#!/bin/bash
# Builds BVLC Caffe 1.0 (99bd997, 2018) with its programs and pycaffe: OpenBLAS, LMDB, HDF5, OpenCV,
# on Debian 12, from the source package that Debian 11 ships; for the processor, or with CUDA and
# cuDNN too.  About 3 minutes on 2 cores, with CUDA and all architectures some 40.
#
#   docker/install-caffe.sh PREFIX [--cuda [VERSION]] [--arch 9.0,12.0] [--tests]
#
# --cuda   builds with the machine's toolkit (CUDA_HOME, or nvcc on PATH; 11.8 to 13), or else with
#          CUDA 13.0, fetched from PyPI
# --arch   compute capabilities to compile for, by default all that the toolkit knows
# --tests  builds Caffe's own tests too, as share/caffe/test/test.testbin
#
# Does nothing when PREFIX holds this build already.  The prefix cannot be moved afterwards.
# Needs root only to install Debian packages; without root it names those that are missing.
#   CAFFE_SRC    a folder that holds the .dsc and its two tarballs, instead of fetching them by apt
#   BUILD_DIR    a folder to build in, kept afterwards (default: a temporary one)
#   CUDAHOSTCXX  the compiler that nvcc calls (default: g++)
set -euo pipefail

readonly version=1.0.0+git20180821.99bd997
readonly revision=8
readonly packages=(
  g++ make cmake dpkg-dev ca-certificates python3.11-dev python3.11-venv
  libboost1.74-dev libboost-system1.74-dev libboost-thread1.74-dev
  libboost-filesystem1.74-dev libboost-python1.74-dev
  libprotobuf-dev protobuf-compiler libgoogle-glog-dev libgflags-dev
  libhdf5-dev liblmdb-dev libopenblas-dev
  libopencv-core-dev libopencv-imgproc-dev libopencv-imgcodecs-dev
)

die() { echo "install-caffe.sh: $*" >&2; exit 2; }

main() {
  read_arguments "$@"
  mkdir -p "$folder" || die "cannot make the folder $folder; name another"
  prefix=$(cd "$folder" && pwd)
  stamp=$prefix/share/caffe/BUILD
  wanted="$version-$revision $(cat "$script" ${with_cuda:+"$here"/cuda/*} | sha256sum | cut -c1-16)${kind:+ $kind}"
  if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && "$prefix/bin/caffe" --version &>/dev/null; then
    echo "$prefix holds Caffe $version already"
    return
  fi
  if [ -n "${BUILD_DIR:-}" ]; then
    mkdir -p "$BUILD_DIR"
    work=$(cd "$BUILD_DIR" && pwd)
  else
    work=$(mktemp -d)
  fi
  trap clean_up EXIT
  install_packages
  fetch_source
  unpack_source
  stand_in_for_highgui
  make_python
  flags=(-DCPU_ONLY=ON)
  if [ -n "$with_cuda" ]; then
    # shellcheck source=docker/cuda/toolkit.sh
    . "$here/cuda/toolkit.sh"
    find_toolkit "$cuda_version"
    cuda_flags "$architectures"
    patch -d tree -p1 -s < "$here/cuda/caffe.patch"
  fi
  build
  rm -f "$stamp"
  install_parts
  "$prefix/bin/caffe" --version
  "$prefix/venv/bin/python" -c 'import caffe; print("pycaffe", caffe.__version__)'
  echo "$wanted" > "$stamp"
}

# A build that failed leaves what was in the prefix before, and else nothing.
clean_up() {
  [ -n "${BUILD_DIR:-}" ] || rm -rf "$work"
  [ -e "$prefix/bin/caffe" ] || rm -rf "$prefix/venv"
  rmdir "$prefix" 2> /dev/null || true
}

read_arguments() {
  folder='' with_cuda='' cuda_version='' architectures='' with_tests=''
  while [ $# -gt 0 ]; do
    case $1 in
      --cuda)
        with_cuda=yes
        if [[ ${2:-} =~ ^[0-9]+\.[0-9]+$ ]]; then cuda_version=$2; shift; fi ;;
      --arch)
        [[ ${2:-} =~ ^[0-9]+(\.[0-9])?(,[0-9]+(\.[0-9])?)*$ ]] || die "--arch takes compute capabilities: --arch 9.0,12.0"
        architectures=$2; shift ;;
      --tests) with_tests=yes ;;
      -*) die "there is no option $1; see the head of $script" ;;
      *) [ -z "$folder" ] || die "name one folder, not $folder and $1"; folder=$1 ;;
    esac
    shift
  done
  [ -n "$folder" ] || die "name the folder to install into: install-caffe.sh PREFIX"
  [ -z "$architectures" ] || [ -n "$with_cuda" ] || die "--arch is for --cuda"
  kind=${with_cuda:+cuda $cuda_version $architectures}${with_tests:+ tests}
}

install_packages() {
  local missing=() package
  for package in "${packages[@]}"; do
    dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' ||
      missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] ||
    die "Debian packages are missing; as root run: apt-get install --no-install-recommends ${missing[*]}"
  echo "installing ${#missing[@]} Debian packages and what they need"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
    --no-install-recommends --no-upgrade "${missing[@]}" >/dev/null
}

# The machine's own mirror and keyring, asked for the suite bullseye through an apt configuration
# of its own: the system's package lists never see that suite.
fetch_source() {
  mkdir -p "$work/src"
  cd "$work/src"
  if [ -n "${CAFFE_SRC:-}" ]; then
    cp "$CAFFE_SRC"/caffe_"$version"* . || die "CAFFE_SRC=$CAFFE_SRC does not hold caffe_$version*"
  else
    echo "fetching the source package caffe $version-$revision"
    local apt=$work/apt sources
    mkdir -p "$apt"/{lists,cache/archives}/partial
    sources=$(bullseye_sources)
    local options=(
      -qq -o "Dir::Etc::SourceList=$sources" -o Dir::Etc::SourceParts=/dev/null
      -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache"
    )
    [ "$(id -u)" != 0 ] || options+=(-o APT::Sandbox::User=root)
    apt-get "${options[@]}" update
    apt-get "${options[@]}" source --download-only "caffe=$version-$revision" >/dev/null
  fi
  sha256sum --quiet -c - <<END || die "the source of Caffe is not the expected one; see the file named above"
c492f4893fc1ba1fb514b2d9b4763bc78dc93571ea24adc6e604eccbb93cdd64  caffe_$version-$revision.dsc
e0eb3f06794f7402c77b7dec8e8480273ee1a1bb192e9122b621a69d4147ad0c  caffe_$version.orig.tar.gz
07cf073227494a6b07234e40cb5df91db566616593eef9baafdc4d06ad159f21  caffe_$version-$revision.debian.tar.xz
END
}

bullseye_sources() {
  local deb822=/etc/apt/sources.list.d/debian.sources list
  if [ -f "$deb822" ]; then
    list=$work/apt/bullseye.sources
    awk 'BEGIN { RS = "" } /(^|\n)Suites:[^\n]*[ \t]bookworm([ \t\n]|$)/ { print; exit }' "$deb822" |
      sed -E 's/^Types:.*/Types: deb-src/; s/^Suites:.*/Suites: bullseye/
              s/^Components:.*/Components: main/' > "$list"
  else
    list=$work/apt/bullseye.list
    sed -nE 's/^deb( \[[^]]*\])? ([^ ]+) bookworm .*/deb-src\1 \2 bullseye main/p' \
      /etc/apt/sources.list | head -1 > "$list"
  fi
  [ -s "$list" ] || die "apt has no source for Debian 12 (bookworm); name the source with CAFFE_SRC"
  echo "$list"
}

# dpkg-source applies Debian's patches.  pycaffe then needs today's numpy, and to be importable
# without scikit-image, which only load_image and resize_image use.
unpack_source() {
  rm -rf tree
  dpkg-source --no-check -x "caffe_$version-$revision.dsc" tree >/dev/null
  sed -i -e 's/^import skimage\.io$/try:\n    &/' \
    -e 's/^from scipy\.ndimage import zoom$/    &/' \
    -e 's/^from skimage\.transform import resize$/    &\nexcept ImportError:\n    pass/' \
    -e 's/as_grey=/as_gray=/' -e 's/np\.fromstring(/np.frombuffer(/' tree/python/caffe/io.py
}

# Caffe includes highgui's headers for imread and imdecode, which live in imgcodecs: with these
# stand-ins the real highgui, and Qt with it, need not be installed.
stand_in_for_highgui() {
  local header
  mkdir -p "$work/cv/include/opencv2/highgui"
  for header in highgui.hpp highgui_c.h; do
    printf '#pragma once\n#include <opencv2/imgcodecs.hpp>\n' > "$work/cv/include/opencv2/highgui/$header"
  done
  cat > "$work/cv/OpenCVConfig.cmake" <<'END'
set(OpenCV_CONFIG_PATH ${CMAKE_CURRENT_LIST_DIR})
set(OpenCV_INCLUDE_DIRS ${CMAKE_CURRENT_LIST_DIR}/include /usr/include/opencv4)
set(OpenCV_LIBS opencv_imgcodecs opencv_imgproc opencv_core)
END
}

make_python() {
  local venv=$prefix/venv
  [ -x "$venv/bin/python" ] || /usr/bin/python3.11 -m venv "$venv"
  "$venv/bin/python" -m pip install -q --disable-pip-version-check 'numpy>=2' protobuf six
  echo "$prefix/lib/python3/dist-packages" > "$venv/lib/python3.11/site-packages/bvlc-caffe.pth"
}

# protobuf 3.21 has lost the two-argument form of SetTotalBytesLimit; the macro drops the second.
build() {
  local tools
  echo "building Caffe $version in $work"
  cmake -S tree -B "$work/build" -Wno-dev -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_INSTALL_PREFIX="$prefix" "${flags[@]}" -DBLAS=Open \
    -DUSE_LMDB=ON -DUSE_LEVELDB=OFF -DUSE_HDF5=ON -DUSE_OPENCV=ON -DOpenCV_DIR="$work/cv" \
    -DBUILD_docs=OFF -DBUILD_matlab=OFF -DBUILD_python=ON -DBUILD_python_layer=ON \
    -Dpython_version=3.11 -DPYTHON_EXECUTABLE="$prefix/venv/bin/python" \
    -DPYTHON_INCLUDE_DIR=/usr/include/python3.11 \
    -DPYTHON_LIBRARY="/usr/lib/$(gcc -print-multiarch)/libpython3.11.so" \
    -DCMAKE_CXX_FLAGS="-w${with_cuda:+ -std=c++17 -isystem $toolkit/include/cccl} '-DSetTotalBytesLimit(n,...)=SetTotalBytesLimit(n)'" \
    > "$work/cmake.log" 2>&1 || { tail -40 "$work/cmake.log" >&2; die "cmake failed"; }
  tools=$(cd tree/tools && ls ./*.cpp | sed -e 's#^\./##' -e 's/\.cpp$//' -e 's/^caffe$/caffe.bin/')
  # shellcheck disable=SC2086  # one word a tool
  make -C "$work/build" -j"$(nproc)" caffe pycaffe $tools ${with_tests:+test.testbin} > "$work/make.log" 2>&1 ||
    { grep -E -A5 'error|Error' "$work/make.log" | head -60 >&2; die "the build failed"; }
}

# "make install" would want the examples built too.
install_parts() {
  local part
  for part in src/caffe tools python; do
    cmake -DCMAKE_INSTALL_DO_STRIP=1 -P "$work/build/$part/cmake_install.cmake" > /dev/null
  done
  mkdir -p "$prefix/share/caffe"
  cp -r tree/models tree/LICENSE "$prefix/share/caffe/"
  rm -rf "$prefix/lib/cuda"
  [ -z "$with_cuda" ] || keep_libraries
  [ -z "$with_tests" ] || install_tests
}

# They look for their data and for images of the examples below the folder that they run in.
install_tests() {
  local tests=$prefix/share/caffe/test
  rm -rf "$tests"
  mkdir -p "$tests"/{src/caffe/test,examples}
  cp "$work/build/test/test.testbin" "$tests/"
  cp -r tree/src/caffe/test/test_data "$tests/src/caffe/test/"
  cp -r tree/examples/images "$tests/examples/"
}

script=$(readlink -f "$0")
here=$(dirname "$script")
main "$@"
