"""Public nets, cut at every place and trained by both engines: what is accepted, frozen, alike.

python -m benchmarks.any_net [--models DIR] [--net NAME] [--iterations 2]

Reads the zoo that comes with Caffe and the nets of $CAFFE_TRANSFER_SHARED, one file a net.  For
every cut it makes the frozen and the fine-tuned network, and trains both by Caffe and by
caffe-torch from the same base.  Times on 2 cores: see the last column.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import lmdb
import numpy as np
from google.protobuf import text_format

from benchmarks import timing
from caffe_transfer import paths
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.formats.datum import datum
from caffe_transfer.formats.hashes import blob_hashes
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net
from caffe_transfer.formats.writer import write_model
from caffe_transfer.nets.check import check_net_1_0
from caffe_transfer.nets.cuts import cuts
from caffe_transfer.nets.edit import DataSettings, checked, deploy, seen_size, train_val
from caffe_transfer.nets.layers import members
from caffe_transfer.nets.sizes import image_shape
from caffe_transfer.report.logs import read_logs
from caffe_transfer.training.engine import CAFFE_TORCH, Engine, find_engine

CLASSES, IMAGES, BATCH, STORED = 10, 10, 2, 256
BASE_SEED, SEED = 1, 2
BASE_ITERATIONS = 4  # so that BatchNorm has statistics to freeze
NAMES = ("train_val.prototxt", "deploy.prototxt")
SOLVER = (
    'net: "train_val.prototxt" base_lr: 0.00001 lr_policy: "fixed" momentum: 0.9 '
    'weight_decay: 0.0005 solver_mode: CPU snapshot_prefix: "net" display: 1\n'
)
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
        learned: every other layer has changed.
        losses: of the first iterations, and of the test after them.
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
    start, bench = time.monotonic(), Bench(file, scratch, threads)
    engines = {"caffe": find_engine("caffe"), CAFFE_TORCH: torch_here()}
    seen: dict[str, list[Trained]] = {name: [] for name in engines}
    for copied, frozen in bench.networks():
        for name, engine in engines.items():
            seen[name].append(bench.trained(engine, copied, frozen, iterations))
            print(f"{bench.name}, {len(copied)} layers, {name}: {seen[name][-1]}", file=sys.stderr)
    theirs, ours = seen["caffe"], seen[CAFFE_TORCH]
    every = theirs + ours
    return (
        bench.name, len(theirs) // 2, len(theirs),
        *(share([one.accepted for one in each]) for each in (theirs, ours)),
        share([one.stayed for one in every if one.frozen]), share([one.learned for one in every]),
        *np.max(list(map(differences, theirs, ours)), axis=0).tolist(),
        f"{(time.monotonic() - start) / 60:.1f}",
    )  # fmt: skip


class Bench:
    """A net and a folder with what its networks need: images, a base, and the weights they draw."""

    def __init__(self, file: Path, root: Path, threads: int) -> None:
        self.name = file.parent.name if file.name in NAMES else file.stem
        self.net = checked(read_net(file), str(file))
        self._root, self._env = root, timing.environment(threads)
        root.mkdir()
        side = (image_shape(self.net) or (0, 0, 0))[1]
        self._data = DataSettings(
            train_source="../images", valid_source="../images", batch=BATCH, test_batch=BATCH,
            channels=3, size=max(STORED, side), mean_file="../mean.binaryproto",
        )  # fmt: skip
        write_images(root / "images", self._data.size)
        write_mean(root / "mean.binaryproto", self._data.size)
        caffe = find_engine("caffe")
        self._base = self._start(caffe, BASE_SEED, BASE_ITERATIONS)
        self._fresh = self._start(caffe, SEED, 0)

    def networks(self) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        """The copied and the frozen layers of every network, by the net's cuts."""
        for cut in cuts(self.net):
            copied = members(cut.below)
            yield copied, copied
            yield copied, ()

    def trained(
        self, engine: Engine, copied: Sequence[str], frozen: Sequence[str], iterations: int
    ) -> Trained:
        """Train a network, and look at its layers and its log."""
        folder = self._write(frozen, SEED, iterations)
        with (folder / "init.caffemodel").open("wb") as file, open_model(self._base) as model:
            write_model("init", [layer for layer in model.layers if layer.name in copied], file)
        if not self._run(engine, folder, "init.caffemodel"):
            return Trained(bool(frozen), accepted=False)
        after = hashes(folder / f"net_iter_{iterations}.caffemodel")
        base, fresh = hashes(self._base), hashes(self._fresh)
        before = {name: (base if name in copied else fresh)[name] for name in fresh}
        changed = {name for name in before if after[name] != before[name]}
        log = read_logs([folder / "train.log"])
        losses = (*log.train_loss.values.tolist(), *log.valid_loss.values.tolist())
        for file_of_weights in folder.glob("net_iter_*"):
            file_of_weights.unlink()
        (folder / "init.caffemodel").unlink()
        return Trained(
            bool(frozen), accepted=True, stayed=not changed & set(frozen),
            learned=changed >= before.keys() - set(frozen), losses=losses,
        )  # fmt: skip

    def _start(self, engine: Engine, seed: int, iterations: int) -> Path:
        folder = self._write((), seed, iterations)
        if not self._run(engine, folder, None):
            raise BadInput(f"{self.name}: Caffe does not take the net; see standard error")
        return folder / f"net_iter_{iterations}.caffemodel"

    def _write(self, frozen: Sequence[str], seed: int, iterations: int) -> Path:
        folder = self._root / f"network{len(list(self._root.iterdir()))}"
        folder.mkdir()
        for name, text in rendered(self.net, self._data, frozen).items():
            (folder / name).write_text(text)
        # Before the first iteration BatchNorm has no statistics, and a test may be nan.
        tests = f"test_iter: 1 test_interval: {iterations} test_initialization: false"
        tests = tests if iterations else ""
        solver = f"{SOLVER} max_iter: {iterations} random_seed: {seed} {tests}"
        (folder / "solver.prototxt").write_text(solver)
        return folder

    def _run(self, engine: Engine, folder: Path, weights: str | None) -> bool:
        with (folder / "train.log").open("wb") as log:
            done = subprocess.run(
                engine.train("solver.prototxt", weights), cwd=folder, stderr=log, env=self._env
            )
        if done.returncode:
            print(f"{engine.name} ended with status {done.returncode}:", file=sys.stderr)
            print((folder / "train.log").read_text()[-2000:], file=sys.stderr)
        return not done.returncode


def rendered(net: pb.NetParameter, data: DataSettings, frozen: Sequence[str]) -> Mapping[str, str]:
    """The nets of a network's folder, as the product writes and checks them."""
    side = seen_size(net, data)
    made = {
        "train_val.prototxt": train_val(
            net, name="network", outputs=CLASSES, data=data, frozen=frozen
        ),
        "deploy.prototxt": deploy(net, name="network", outputs=CLASSES, data=data),
    }
    texts = {name: text_format.MessageToString(each) for name, each in made.items()}
    train = texts["train_val.prototxt"]
    check_net_1_0(train, "train_val.prototxt", frozen, (data.channels, side, side), net)
    return texts


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


def write_images(path: Path, size: int) -> None:
    """A database of random blotches, one image a class."""
    random = np.random.default_rng(0)
    with lmdb.open(str(path), map_size=1 << 30) as environment, environment.begin(write=True) as t:
        for number in range(IMAGES):
            small = random.integers(0, 256, (3, -(-size // 8), -(-size // 8)), np.uint8)
            pixels = small.repeat(8, 1).repeat(8, 2)[:, :size, :size]
            t.put(b"%08d" % number, datum(np.ascontiguousarray(pixels), number % CLASSES))


def write_mean(path: Path, size: int) -> None:
    """The mean of such images, nearly."""
    mean = pb.BlobProto(num=1, channels=3, height=size, width=size)
    mean.data.extend([127.0] * 3 * size**2)
    path.write_bytes(mean.SerializeToString())


def nets_of(models: Path) -> list[Path]:
    """One file a net: each folder's train_val or else deploy, and the nets of the shared folder."""
    folders = sorted(folder for folder in models.iterdir() if folder.is_dir())
    found = [next((folder / name for name in NAMES if (folder / name).exists()), None)
             for folder in folders]  # fmt: skip
    shared = os.environ.get("CAFFE_TRANSFER_SHARED")
    others = sorted((Path(shared) / "nets").glob("*.prototxt")) if shared else []
    return [*filter(None, found), *(path for path in others if "solver" not in path.name)]


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
