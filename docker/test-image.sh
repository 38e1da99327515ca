#!/bin/bash
# Runs an image as docs/docker.md says and checks what it leaves: read-only, without a network, as
# an ordinary user.
#
#   docker/test-image.sh [IMAGE]
#
#   CAFFE_TRANSFER  the command outside the image to compare with (default: .venv/bin/caffe-transfer)
#   IMAGES          Fashion-MNIST's four files, for an image that does not hold them
#   RUN_OPTIONS     more options of `docker run`, such as "--gpus all"
#   TRAIN_OPTIONS   more options of `caffe-transfer run`, such as "--gpu 0"
set -euo pipefail

readonly inside_images=/usr/share/datasets/fashion-mnist
readonly name=caffe-transfer-test-$$

die() { echo "test-image.sh: $*" >&2; exit 1; }

main() {
  readonly image=${1:-caffe-transfer:cpu}
  cd "$(dirname "$(readlink -f "$0")")/.."
  readonly outside=${CAFFE_TRANSFER:-$PWD/.venv/bin/caffe-transfer}
  [ -x "$outside" ] || die "there is no $outside; make .venv/.ready, or set CAFFE_TRANSFER"
  # shellcheck source=docker/containers.sh
  . docker/containers.sh
  use_docker_or_podman
  folder=$(mktemp -d)
  trap clean_up EXIT
  choose_user
  choose_options

  check "the image says what it is" described
  check "it is whole: doctor, caffe, exit statuses" whole
  check "a GPU that it cannot use is refused before anything is made" refuses
  check "generate writes what it writes outside" generates
  check "stopping a training leaves a snapshot" stops
  check "the same command goes on to the end" goes_on
  check "every file belongs to the user" owned
  echo "$image passes"
}

# Not as the condition of an `if`: there, a failing command would not end the function.
check() {
  local started=$SECONDS
  echo "== $1"
  "$2"
  echo "   yes, $((SECONDS - started)) s"
}

clean_up() {
  "${containers[@]}" rm --force "$name" &>/dev/null || true
  rm -rf "$folder"
}

choose_user() {
  user=$(id -u):$(id -g)
  [ "$user" != 0:0 ] || user=1000:1000
  mkdir "$folder/work"
  chown "$user" "$folder/work"
  chmod 755 "$folder"
}

choose_options() {
  options=(
    "${limits[@]}" --network none --read-only --tmpfs /tmp --user "$user"
    --volume "$folder/work:/work"
  )
  local from=$inside_images
  if [ -n "${IMAGES:-}" ]; then
    from=/images
    options+=(--volume "$(cd "$IMAGES" && pwd):/images:ro")
  fi
  local more
  read -ra more <<< "${RUN_OPTIONS:-}"
  options+=("${more[@]}")
  read -ra more <<< "${TRAIN_OPTIONS:-}"
  training=(run study.toml --out demo --from "$from" "${more[@]}")
}

inside() { "${containers[@]}" run --rm "${options[@]}" "$image" "$@"; }

described() {
  local format
  for format in '{{index .Config.Labels "org.opencontainers.image.version"}}' \
    '{{index .Config.Labels "org.opencontainers.image.revision"}}' '{{.Config.Entrypoint}}' \
    '{{.Size}} bytes'; do
    "${containers[@]}" image inspect --format "$format" "$image"
  done
  [ "$(inside --version)" = "$("$outside" --version)" ] || die "its version is not that outside"
}

whole() {
  inside doctor
  "${containers[@]}" run --rm "${options[@]}" --entrypoint caffe "$image" --version
  local status=0
  inside train nowhere || status=$?
  [ "$status" = 2 ] || die "a command that cannot be done ended with status $status, not 2"
}

# Where a card is lent to it, the trainings below show that it is used.
refuses() {
  local status=0 said
  [ -z "${RUN_OPTIONS:-}" ] || { echo "   not asked, with RUN_OPTIONS"; return 0; }
  study > "$folder/work/study.toml"
  said=$(inside "${training[@]}" --gpu 0 2>&1) || status=$?
  [ "$status" = 2 ] || die "run --gpu 0 ended with status $status, not 2: $said"
  tail -1 <<< "$said"
  [ ! -e "$folder/work/demo/data" ] || die "it made databases all the same"
  rm -r "$folder/work/demo" "$folder/work/study.toml"
}

generates() {
  inside generate --n 4 --mode transfer
  (mkdir "$folder/outside" && cd "$folder/outside" && "$outside" generate --n 4 --mode transfer)
  [ -s "$folder/outside/results/transfer0A0B_1_4/train_val.prototxt" ] ||
    die "nothing was written outside"
  diff -r --no-dereference "$folder/outside" "$folder/work" || die "what it wrote differs from outside"
}

# The demo, cut to its first network, at its full length.
study() { sed '/^whole = true/q' caffe_transfer/studies/fashion-mnist.toml; }

# A container of its own in the background, as `docker stop` must find it; started at process 1.
stops() {
  local status tries=0
  study > "$folder/work/study.toml"
  "${containers[@]}" run --detach --name "$name" "${options[@]}" "$image" \
    "${training[@]}" > /dev/null
  until grep -qs 'Iteration 40' "$folder"/work/demo/results/*/logs/*.log; do
    [ $((tries += 1)) -le 600 ] || die "no training after 600 s: $("${containers[@]}" logs "$name" 2>&1)"
    [ "$("${containers[@]}" inspect --format '{{.State.Running}}' "$name")" = true ] ||
      die "it ended before it trained: $("${containers[@]}" logs "$name" 2>&1)"
    sleep 1
  done
  "${containers[@]}" stop --time 120 "$name" > /dev/null
  status=$("${containers[@]}" inspect --format '{{.State.ExitCode}}' "$name")
  "${containers[@]}" logs "$name" 2>&1 | tail -5
  [ "$status" = 130 ] || die "a stopped training ended with status $status, not 130"
  (cd "$folder/work" && ls demo/results/*/snapshots/*.solverstate) || die "it left no snapshot"
  grep -qs 'Optimization stopped early' "$folder"/work/demo/results/*/logs/*.log ||
    die "it had ended by itself before it was stopped"
}

goes_on() {
  inside "${training[@]}"
  inside status demo
  local manifest
  for manifest in "$folder"/work/demo/results/*/manifest.json; do
    grep -q '"finished"' "$manifest" || die "it did not finish"
    grep -q '"from_iteration": [1-9]' "$manifest" || die "it began anew instead of going on"
  done
}

owned() {
  local other
  other=$(find "$folder/work" ! \( -uid "${user%:*}" -gid "${user#*:}" \) ! -name study.toml)
  [ -z "$other" ] || die "not the user's: $other"
}

main "$@"
