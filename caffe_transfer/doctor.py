"""Finds out what is installed, what is missing, and how to get it."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from caffe_transfer import paths
from caffe_transfer.errors import CaffeTransferError
from caffe_transfer.training import engine, gpus
from caffe_transfer.version import __version__

REQUIRED = ("click", "h5py", "isal", "jinja2", "lmdb", "matplotlib", "numpy",
            "opencv-python-headless", "protobuf", "rich", "scipy")  # fmt: skip
# Extra -> what needs it, and its packages.
EXTRAS = {
    "torch": ("the engine caffe-torch", ("torch",)),
    "export": ("export", ("torch", "safetensors", "onnx", "onnxscript", "onnxruntime")),
    "tensorboard": ("report --tensorboard", ("tensorboardX",)),
    "slurm": ("run --on slurm", ("submitit",)),
    "ray": ("run --on ray", ("ray",)),
}
IMAGE = Path("/etc/caffe-transfer-image")  # versions in a container image, see docker/pin.sh
CONVERTERS = ("convert_imageset", "compute_image_mean", "upgrade_net_proto_text")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        found: what is there, such as a version; None if it is missing.
        remedy: what to do if it is missing.
        needed: whether training with Caffe needs it.
    """

    name: str
    found: str | None
    remedy: str = ""
    needed: bool = True


def examine() -> Iterator[Finding]:
    """Look for everything that caffe-transfer uses."""
    yield Finding("caffe-transfer", f"{__version__}, Python {sys.version.split()[0]}")
    for name in REQUIRED:
        yield Finding(name, _version(name), "pip install caffe-transfer")
    cards = gpus.cards()
    yield from _cards(cards)
    yield from _engines(cards)
    yield from _extras()
    for program, use in (("apt-get", "fetches Fashion-MNIST"), ("dpkg-deb", "unpacks it")):
        yield Finding(program, shutil.which(program), f"{use}; or give --from", needed=False)
    yield from _image()
    yield Finding("processor cores", str(len(os.sched_getaffinity(0))))
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    yield Finding("free disk here", f"{free:.1f} GB")


def _extras() -> Iterator[Finding]:
    """Yield each package of the extras once, with the first extra that brings it."""
    seen: set[str] = set()
    for extra, (use, packages) in EXTRAS.items():
        for name in packages:
            if name not in seen:
                seen.add(name)
                remedy = f"pip install 'caffe-transfer[{extra}]', for {use}"
                yield Finding(name, _version(name), remedy, needed=False)


def _cards(cards: Sequence[gpus.Card]) -> Iterator[Finding]:
    for card in cards:
        capability = f"compute capability {card.capability}, " if card.capability else ""
        yield Finding(f"GPU {card.number}", f"{card.name}, {capability}driver {card.driver}")
    if not cards:
        remedy = "nvidia-smi lists none; networks are trained on the processor"
        yield Finding("GPU", None, remedy, needed=False)


def _engines(cards: Sequence[gpus.Card]) -> Iterator[Finding]:
    for name, remedy in (
        (engine.CAFFE, "make caffe, or name the program with CAFFE_BIN"),
        (engine.CAFFE_TORCH, "pip install 'caffe-transfer[torch]'"),
    ):
        try:
            found = engine.find_engine(name)
            text = f"{found.version()}: {found.program}"
        except CaffeTransferError:
            yield Finding(name, None, remedy, needed=name == engine.CAFFE)
            continue
        yield Finding(name, text)
        yield _on_gpus(found, cards)
    tools = [tool for tool in CONVERTERS if _tool(tool)]
    yield Finding("caffe's tools", " ".join(tools) or None, "make caffe", needed=False)


def _on_gpus(found: engine.Engine, cards: Sequence[gpus.Card]) -> Finding:
    """Which GPUs an engine can use, and for which it is built."""
    usable, reasons = [], []
    for number in [card.number for card in cards] or ["0"]:
        try:
            gpus.check_gpus(found, number)
        except CaffeTransferError as error:
            reasons.append(str(error))
        else:
            usable.append(number)
    code = gpus.gpu_code(found.program)
    built = f"built for {code}" if code else ""
    can = f"can use GPU {', '.join(usable)}" if usable else ""
    remedy = "; ".join(filter(None, [built, *dict.fromkeys(reasons)]))
    return Finding(
        f"{found.name} on GPUs",
        "; ".join(filter(None, [can, built, *reasons])) if usable else None,
        remedy,
        needed=False,
    )


def _image() -> Iterator[Finding]:
    """Yield the versions that the container image records; nothing outside of one."""
    if IMAGE.is_file():
        for line in IMAGE.read_text().splitlines():
            name, _, version = line.partition(": ")
            yield Finding(f"image: {name}", version)


def _tool(name: str) -> str | None:
    return shutil.which(name) or shutil.which(paths.caffe_prefix() / "bin" / name)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
