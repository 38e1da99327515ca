#!/bin/bash
# Builds an image on a Debian machine that can reach Debian's packages and PyPI but no registry, and
# on which no Docker daemon runs: the base image is made by debootstrap, and podman builds upon it.
# As root.
#
#   docker/build-here.sh [IMAGE]    caffe-transfer:cpu (the default) or caffe-transfer:gpu; the tag
#                                   says which Dockerfile
#
#   BUILD_OPTIONS  more options of `podman build`, such as "--build-arg ARCH=8.9"
#
# How this machine gets its packages (apt's sources and proxies, pip's index, certificates) is lent
# to the build as mounts; the image does not keep it.
set -euo pipefail

readonly release=bookworm
readonly base=localhost/debian-$release-slim:debootstrap
readonly bundle=/etc/ssl/certs/ca-certificates.crt
# Not the system's own name: installing ca-certificates replaces that file, and a mount cannot be.
readonly lent_bundle=/etc/ssl/lent-certificates.pem
readonly debian_source="(^|\n)Suites:[^\n]*[ \t]?$release([ \t\n]|$)"

die() { echo "build-here.sh: $*" >&2; exit 2; }

main() {
  [ "$(id -u)" = 0 ] || die "debootstrap needs root; run it as root, or use docker build elsewhere"
  local image=${1:-caffe-transfer:cpu}
  case ${image##*:} in
    cpu | gpu) dockerfile=docker/Dockerfile.${image##*:} ;;
    *) die "an image that can be built here is called NAME:cpu or NAME:gpu, not $image" ;;
  esac
  cd "$(dirname "$(readlink -f "$0")")/.."
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  install_tools
  describe_sources
  # shellcheck source=docker/containers.sh
  . docker/containers.sh
  use_podman
  "${containers[@]}" image exists "$base" || make_base
  lend_configuration
  build_image "$image"
  echo "$image: $("${containers[@]}" image inspect --format '{{.Size}}' "$image") bytes"
}

install_tools() {
  local missing=() package
  for package in podman runc debootstrap; do
    dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' ||
      missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
}

# The stanza or line of this machine's sources that has Debian 12; others' archives are left out.
describe_sources() {
  local deb822=/etc/apt/sources.list.d/debian.sources
  if [ -f "$deb822" ]; then
    sources=$deb822
    mirror=$(awk -v wanted="$debian_source" \
      'BEGIN { RS = ""; FS = "\n" } $0 ~ wanted { for (i = 1; i <= NF; i++)
         if ($i ~ /^URIs:/) { split($i, part, /[ \t]+/); print part[2]; exit } }' "$deb822")
  else
    sources=$work/sources.list
    grep -E "^deb .* $release" /etc/apt/sources.list > "$sources" || true
    mirror=$(sed -nE "s/^deb( \[[^]]*\])? ([^ ]+) $release .*/\2/p" "$sources" | head -1)
  fi
  [ -n "$mirror" ] || die "apt has no source for Debian 12 ($release)"
}

# What the image debian:12-slim holds: the smallest Debian, without documentation, that keeps no
# package file after installing it, with Debian's own archive as its source.
make_base() {
  local root=$work/root
  echo "making the base image from Debian's packages"
  debootstrap --variant=minbase "$release" "$root" "$mirror" > "$work/debootstrap.log" ||
    { tail -20 "$work/debootstrap.log" >&2; die "debootstrap failed"; }
  printf 'path-exclude %s\n' '/usr/share/doc/*' '/usr/share/man/*' '/usr/share/info/*' \
    '/usr/share/locale/*' > "$root/etc/dpkg/dpkg.cfg.d/slim"
  echo 'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };' \
    > "$root/etc/apt/apt.conf.d/keep-nothing"
  rm "$root/etc/apt/sources.list"
  cat > "$root/etc/apt/sources.list.d/debian.sources" <<STANZAS
Types: deb
URIs: http://deb.debian.org/debian
Suites: $release $release-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: $release-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
STANZAS
  rm -rf "$root"/usr/share/{doc,man,info,locale}/* "$root"/var/{cache/apt,lib/apt/lists,log}/* \
    "$root"/etc/{resolv.conf,hostname}
  tar -C "$root" --one-file-system -c . | "${containers[@]}" import - "$base" > /dev/null
  rm -rf "$root"
}

lend_configuration() {
  mkdir "$work/lent"
  apt_configuration > "$work/lent/apt.conf"
  pip_configuration > "$work/lent/pip.conf"
  mounts=(
    --volume "$work/lent/apt.conf:/etc/apt/apt.conf.d/lent:ro"
    --volume "$work/lent/pip.conf:/etc/pip.conf:ro"
  )
  if [ "$sources" != "$work/sources.list" ]; then
    mounts+=(--volume "$sources:/etc/apt/sources.list.d/debian.sources:ro")
  else
    mounts+=(--volume "$sources:/etc/apt/sources.list:ro")
  fi
  [ ! -f "$bundle" ] || mounts+=(--volume "$bundle:$lent_bundle:ro")
}

# Proxies and the like; not the paths of this machine's files.
apt_configuration() {
  apt-config dump | grep -E '^Acquire::(http|https|ftp)::[^ ]* "[^"/]*(://[^"]*)?";' || true
  [ ! -f "$bundle" ] || echo "Acquire::https::CaInfo \"$lent_bundle\";"
}

# Indexes and proxies of whoever calls; an index in a folder of this machine is left out.
pip_configuration() {
  echo "[global]"
  [ ! -f "$bundle" ] || echo "cert = $lent_bundle"
  python3 -m pip config list 2>/dev/null |
    sed -nE "s/^(global|:env:)\.(index-url|extra-index-url|trusted-host|proxy)='(.*)'$/\2 = \3/p" |
    grep -v 'file://' | awk '!seen[$1]++' || true
}

# chroot isolation and Docker's format: no nested namespaces are needed, and SHELL is kept.
build() { "${containers[@]}" build --isolation chroot --format docker "${limits[@]}" "$@"; }

build_image() {
  local revision version more lent=localhost/caffe-transfer-lent:$$
  version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' caffe_transfer/version.py)
  revision=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
  read -ra more <<< "${BUILD_OPTIONS:-}"
  build --layers "${mounts[@]}" "${more[@]}" --build-arg "BASE=$base" \
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" \
    --file "$dockerfile" --tag "$lent" .
  # A mount leaves an empty file where there was none.
  printf 'FROM %s\nRUN rm /etc/apt/apt.conf.d/lent /etc/pip.conf && rm -f %s\n' "$lent" "$lent_bundle" |
    build --tag "$1" --file - "$work/lent"
  "${containers[@]}" untag "$lent"
}

main "$@"
