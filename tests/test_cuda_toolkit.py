"""docker/cuda/toolkit.sh: which CUDA a Caffe is built with, and how it refuses others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

DOCKER = Path(__file__).parent.parent / "docker"
PINS = [
    line
    for line in (DOCKER / "cuda" / "wheels-13.0.txt").read_text().splitlines()
    if not line.startswith("#")
]
NVCC = """#!/bin/sh
case "$*" in
  --version) echo "Cuda compilation tools, release {release}, V{release}.88" ;;
  --help) echo "--static-global-template-stub {{true|false}}" ;;
  *) {compiles} ;;
esac
"""


def toolkit(
    folder: Path,
    release: str = "13.0",
    headers: str = "cublas_v2.h curand.h cudnn.h",
    compiles: str = "true",
) -> Path:
    """A folder that looks like a toolkit."""
    for name in ("bin", "include", "lib64"):
        (folder / name).mkdir(parents=True)
    (folder / "bin" / "nvcc").write_text(NVCC.format(release=release, compiles=compiles))
    (folder / "bin" / "nvcc").chmod(0o755)
    for header in headers.split():
        (folder / "include" / header).touch()
    return folder


def shell(code: str, work: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run code as a part of install-caffe.sh."""
    head = f"""
set -euo pipefail
die() {{ echo "install-caffe.sh: $*" >&2; exit 2; }}
prefix={work}/prefix work={work}
. {DOCKER}/cuda/toolkit.sh
"""
    env = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(["bash", "-c", head + code], capture_output=True, text=True, env=env)


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that it says before it ends."""
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    return line


def install(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = DOCKER / "install-caffe.sh"
    return subprocess.run([script, *arguments], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prefix", "--fast"], "there is no option --fast"),
        (["prefix", "--arch", "9.0"], "--arch is for --cuda"),
        (["prefix", "--cuda", "--arch", "hopper"], "--arch takes compute capabilities"),
        (["one", "two"], "name one folder, not one and two"),
        ([], "name the folder to install into"),
    ],
)
def test_options_are_refused(arguments: list[str], message: str) -> None:
    assert message in refusal(install(*arguments))


def test_the_machines_own(tmp_path: Path) -> None:
    own = toolkit(tmp_path / "cuda")
    done = shell('find_toolkit ""; echo "$cuda,$toolkit,$fetched"', tmp_path, CUDA_HOME=str(own))
    assert done.stdout.splitlines()[-1] == f"13.0,{own},"


@pytest.mark.parametrize("release", ["10.2", "11.7", "14.0"])
def test_too_old_or_too_new(release: str, tmp_path: Path) -> None:
    own = toolkit(tmp_path / "cuda", release)
    said = refusal(shell('find_toolkit ""', tmp_path, CUDA_HOME=str(own)))
    assert f"is {release}; this Caffe builds with 11.8 to 13" in said


def test_part_of_a_toolkit(tmp_path: Path) -> None:
    own = toolkit(tmp_path / "cuda", headers="cublas_v2.h")
    said = refusal(shell('find_toolkit ""', tmp_path, CUDA_HOME=str(own)))
    assert "has no curand.h cudnn.h; install the rest of it" in said


def test_a_compiler_that_nvcc_refuses(tmp_path: Path) -> None:
    compiles = "echo 'error: unsupported GNU version!'; exit 1"
    own = toolkit(tmp_path / "cuda", compiles=compiles)
    said = refusal(shell('find_toolkit ""', tmp_path, CUDA_HOME=str(own)))
    assert "does not work with g++ (error: unsupported GNU version!); name an older" in said


def test_no_wheels_are_pinned(tmp_path: Path) -> None:
    said = refusal(shell("fetch_toolkit 12.4", tmp_path))
    assert "no wheels are pinned for CUDA 12.4, only for 13.0" in said


def test_no_space(tmp_path: Path) -> None:
    said = refusal(shell('df() { printf "Avail\\n123456\\n"; }; fetch_toolkit 13.0', tmp_path))
    assert "has 0 GB free, CUDA needs 6" in said


def test_no_space_for_what_is_kept(tmp_path: Path) -> None:
    df = 'df() { [ "$3" = "$work" ] && n=9999999 || n=1000000; printf "Avail\n%s\n" "$n"; }'
    said = refusal(shell(f"{df}; fetch_toolkit 13.0", tmp_path))
    assert said.endswith("/prefix has 1 GB free, CUDA needs 2; make room there, or install into "
                         "another folder")  # fmt: skip


def test_a_source_that_cannot_be_had_leaves_nothing(tmp_path: Path) -> None:
    """From the script's start; Debian's packages are said to be there."""
    stand_in = tmp_path / "path" / "dpkg-query"
    stand_in.parent.mkdir()
    stand_in.write_text("#!/bin/sh\necho 'ii '\n")
    stand_in.chmod(0o755)
    env = {"PATH": f"{stand_in.parent}:{os.environ['PATH']}", "CAFFE_SRC": str(tmp_path / "none")}
    done = subprocess.run(
        [DOCKER / "install-caffe.sh", tmp_path / "prefix", "--cuda"],
        capture_output=True, text=True, env=env,
    )  # fmt: skip
    assert done.returncode == 2
    assert "none does not hold caffe_" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "prefix").exists()


@pytest.mark.parametrize("was_there", [False, True])
def test_a_failed_build_leaves_what_was_there_before(was_there: bool, tmp_path: Path) -> None:
    prefix, work = tmp_path / "prefix", tmp_path / "work"
    for folder in (prefix / "venv" / "bin", work / "wheels", prefix / "bin"):
        folder.mkdir(parents=True)
    if was_there:
        (prefix / "bin" / "caffe").touch()
    else:
        (prefix / "bin").rmdir()
    text = (DOCKER / "install-caffe.sh").read_text()
    code = "clean_up() {" + text.split("\nclean_up() {")[1].split("\n}\n")[0] + "\n}"
    done = shell(f"{code}\nwork={work}; trap clean_up EXIT; die 'nvcc does not work'", tmp_path)
    assert not work.exists()
    assert done.returncode == 2
    assert (prefix / "venv").exists() == prefix.exists() == was_there


def test_a_broken_download(tmp_path: Path) -> None:
    python = tmp_path / "prefix" / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    said = refusal(shell("df() { printf 'Avail\\n99999999\\n'; }; fetch_toolkit 13.0", tmp_path))
    assert "CUDA 13.0 cannot be fetched; see above" in said
    assert not (tmp_path / "cuda").exists()


def test_a_damaged_download(tmp_path: Path) -> None:
    """Real pip finds a wheel of the pinned name, and something else in it."""
    python = tmp_path / "prefix" / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (tmp_path / "found").mkdir()
    for pin in PINS:
        name, _, version = pin.split()[0].partition("==")
        wheel = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        (tmp_path / "found" / wheel).write_bytes(b"PK damaged")
    done = shell(
        "df() { printf 'Avail\\n99999999\\n'; }; fetch_toolkit 13.0", tmp_path,
        PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path / "found"), PIP_CONFIG_FILE=os.devnull,
    )  # fmt: skip
    assert done.returncode == 2
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert "CUDA 13.0 cannot be fetched; see above" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "cuda").exists()


@pytest.mark.parametrize(
    ("release", "wanted", "architectures", "ptx"),
    [
        ("11.8", "", "35 50 60 61 70 75 80 86 89 90", "90"),
        ("12.6", "", "50 60 61 70 75 80 86 89 90", "90"),
        ("12.9", "", "50 60 61 70 75 80 86 89 90 100 120", "120"),
        ("13.0", "", "75 80 86 89 90 100 120", "120"),
        ("13.0", "8.6,9.0", "86 90", "90"),
        ("13.0", "90", "90", "90"),
    ],
)
def test_architectures(
    release: str, wanted: str, architectures: str, ptx: str, tmp_path: Path
) -> None:
    own = toolkit(tmp_path / "cuda", release)
    code = f'find_toolkit ""; cuda_flags "{wanted}"; printf "%s\\n" "${{flags[@]}}"'
    flags = shell(code, tmp_path, CUDA_HOME=str(own)).stdout.splitlines()
    assert f"-DCUDA_ARCH_BIN={architectures}" in flags
    assert f"-DCUDA_ARCH_PTX={ptx}" in flags
    assert any("-static-global-template-stub=false" in flag for flag in flags)


def test_an_architecture_that_the_toolkit_lacks(tmp_path: Path) -> None:
    own = toolkit(tmp_path / "cuda")
    code = 'find_toolkit ""; cuda_flags 6.1'
    assert "--arch 61 is not among those of CUDA 13.0" in refusal(
        shell(code, tmp_path, CUDA_HOME=str(own))
    )


def test_every_wheel_is_pinned_by_its_hash() -> None:
    assert len(PINS) == 9
    assert all("==" in pin and len(pin.partition("--hash=sha256:")[2]) == 64 for pin in PINS)
