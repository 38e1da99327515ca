"""Public nets, cut at every place and trained by both engines: what is accepted, frozen, alike.

python -m benchmarks.any_net [--models DIR] [--net NAME] [--iterations 2]

Reads the zoo that comes with Caffe and the nets of $CAFFE_TRANSFER_SHARED, one file a net.  Each is
made the net of a study.  For every cut the frozen and the fine-tuned network are written and
trained, as `caffe-transfer train` does it, by Caffe and by caffe-torch, from one base.
"""

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks import timing
from benchmarks.pictures import write_database, write_mean
from caffe_transfer import paths
from caffe_transfer.errors import CaffeTransferError
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.formats.hashes import blob_hashes
from caffe_transfer.formats.prototxt import read_net
from caffe_transfer.nets.places import study_cuts
from caffe_transfer.nets.render import plain_net
from caffe_transfer.nets.sizes import image_shape
from caffe_transfer.nets.write import write_network
from caffe_transfer.paths import NetworkFolder, RunFolder
from caffe_transfer.report.logs import log_files, read_logs
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Mode, Network
from caffe_transfer.studies.study import EVERY, Study
from caffe_transfer.training.engine import CAFFE_TORCH, Engine, find_engine
from caffe_transfer.training.train import Settings, train_network

CLASSES, IMAGES, BATCH, STORED = 20, 10, 2, 256
BASE = Network(mode=Mode.BASE, target="A", split="0")
NAMES = ("train_val.prototxt", "deploy.prototxt")
HEADER = (
    "net", "cuts", "networks", "trained by Caffe", "by caffe-torch", "frozen stayed",
    "others learned", "first losses differ by", "next ones by", "minutes",
)  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """One network, trained by one engine.

    Attributes:
        frozen: some of its layers are.
        accepted: trained to its end; everything else is empty otherwise.
        stayed: every frozen blob, statistics included, is the base's, byte for byte.
        learned: every other layer went on changing.
        losses: of the iterations.
    """

    frozen: bool
    accepted: bool
    stayed: bool = False
    learned: bool = False
    losses: tuple[float, ...] = ()


def main(files: Sequence[Path], iterations: int, threads: int, scratch: Path) -> None:
    """Print the table."""
    print(f"{timing.processor()}, {threads} threads\n")
    rows = [row(file, iterations, threads, scratch / str(at)) for at, file in enumerate(files)]
    print(timing.table(HEADER, rows))


def row(file: Path, iterations: int, threads: int, scratch: Path) -> tuple[object, ...]:
    """Everything about one net."""
    start, study = time.monotonic(), study_of(file, iterations)
    name = name_of(file)
    write_data(RunFolder(scratch), study)
    found = study_cuts(study, plain_net(study))
    networks = [
        Network(mode=Mode.TRANSFER, base="A", target="B", split="0", n=cut.n, fine_tuned=fine_tuned)
        for cut in found
        for fine_tuned in (False, True)
    ]
    caffe, torch = find_engine("caffe"), torch_here()
    base = write_network(BASE, study, scratch / caffe.name)
    train_network(base, Settings(caffe, None, threads), mute)
    (scratch / torch.name).mkdir()
    (scratch / torch.name / BASE.name).symlink_to(base)
    theirs: list[Trained] = []
    ours: list[Trained] = []
    for network in networks:
        for engine, seen in ((caffe, theirs), (torch, ours)):
            folder = write_network(network, study, scratch / engine.name)
            seen.append(trained(folder, Settings(engine, None, threads, keep_snapshots=EVERY)))
            print(f"{name} {network.name} {engine.name}: {seen[-1]}", file=sys.stderr)
    every = theirs + ours
    return (
        name, len(found), len(networks),
        *(share([one.accepted for one in each]) for each in (theirs, ours)),
        share([one.stayed for one in every if one.frozen]), share([one.learned for one in every]),
        *np.max(list(map(differences, theirs, ours)), axis=0).tolist(),
        f"{(time.monotonic() - start) / 60:.1f}",
    )  # fmt: skip


def study_of(file: Path, iterations: int) -> Study:
    """A study of the net: random halves of images in colour, a few iterations at a low rate."""
    study = load_study("fashion-mnist").with_net(str(file.absolute()))
    side = (image_shape(read_net(file)) or (0, 0, 0))[1]
    return replace(
        study,
        batch=BATCH,
        test_batch=BATCH,
        networks=(BASE,),
        images=replace(study.images, classes=CLASSES, channels=3, size=max(STORED, side)),
        solver=replace(
            study.solver, base_lr=0.00001, max_iter=iterations, test_iter=1,
            test_interval=iterations, snapshot=1, display=1,
        ),
    )  # fmt: skip


def trained(folder: Path, settings: Settings) -> Trained:
    """Train a network as the product does, and look at its layers and its log."""
    try:
        manifest = train_network(folder, settings, mute)
    except CaffeTransferError as error:
        print(error, file=sys.stderr)
        return Trained(frozen=True, accepted=False)
    files = NetworkFolder(folder)
    first, *_, last = sorted(files.snapshots.glob("*.caffemodel"))
    before, after = hashes(first), hashes(last)
    frozen = set(manifest["frozen"])
    source = blob_hashes(files.init, sorted(frozen))
    losses = read_logs(log_files(folder)).train_loss.values.tolist()
    for snapshot in files.snapshots.iterdir():
        snapshot.unlink()
    files.init.unlink()
    return Trained(
        bool(frozen), accepted=True,
        stayed=all(after[name] == source[name] for name in frozen),
        learned=all(after[name] != before[name] for name in after.keys() - frozen),
        losses=tuple(losses),
    )  # fmt: skip


def mute(_: object) -> None:
    """Progress that nobody reads."""


def hashes(model: Path) -> dict[str, list[str]]:
    """The hashes of a model's blobs, by layer."""
    with open_model(model) as opened:
        names = list(opened.with_blobs)
    return blob_hashes(model, names)


def differences(one: Trained, other: Trained) -> tuple[float, float]:
    """The relative differences of two networks' losses: of the first, and the largest of the rest.

    The first ones are of the same weights.  Infinite where a network was not trained.
    """
    if not one.losses or len(one.losses) != len(other.losses):
        return (math.inf, math.inf)
    a, b = np.array(one.losses), np.array(other.losses)
    found = np.abs(a - b) / np.abs(a)
    return float(found[0]), float(found[1:].max())


def share(flags: Sequence[bool]) -> str:
    """How many of all."""
    return f"{sum(flags)} of {len(flags)}"


def write_data(run: RunFolder, study: Study) -> None:
    """Databases of random blotches, one image a class, under the names of all data sets."""
    size = study.images.size
    write_database(run.data.root / "lmdb", 3, size, range(IMAGES))
    for side in "AB":
        for part in ("train", "valid"):
            link = run.data.lmdb(f"half0{side}_{part}")
            link.parent.mkdir()
            link.symlink_to("../lmdb")
    write_mean(run.data.mean, 3, size)


def nets_of(models: Path) -> list[Path]:
    """One file a net: each folder's train_val or else deploy, and the nets of the shared folder."""
    folders = sorted(folder for folder in models.iterdir() if folder.is_dir())
    found = [next((folder / name for name in NAMES if (folder / name).exists()), None)
             for folder in folders]  # fmt: skip
    shared = os.environ.get("CAFFE_TRANSFER_SHARED")
    others = sorted((Path(shared) / "nets").glob("*.prototxt")) if shared else []
    return [*filter(None, found), *(path for path in others if "solver" not in path.name)]


def name_of(file: Path) -> str:
    """A net's name: its folder's, or its own."""
    return file.parent.name if file.name in NAMES else file.stem


def torch_here() -> Engine:
    """The caffe-torch of this environment."""
    return Engine(CAFFE_TORCH, Path(sys.executable).with_name(CAFFE_TORCH))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=paths.caffe_prefix() / "share/caffe/models")
    parser.add_argument("--net", action="append", help="only nets with this in their path")
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    chosen = [path for path in nets_of(given.models)
              if not given.net or any(name in str(path) for name in given.net)]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        main(chosen, given.iterations, given.threads, Path(folder))
