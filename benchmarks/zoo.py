"""Public nets as they are, by Caffe and by caffe-torch: the same weights, losses and outputs?

python -m benchmarks.zoo [NET.prototxt ...] [--models DIR] [--net NAME] [--iterations 10]

Reads the nets that come with Caffe, those of $CAFFE_TRANSFER_SHARED and those given, with batches
of 2 random images.  A net without a loss is trained as `caffe-transfer generate` makes it.

For each net: are the initial parameters of one seed the same bytes; how far, at most, are the
losses of a training apart, relatively, with one thread; how far are Caffe's own when the last two
bits of its initial parameters are changed at random, as another order of sums changes what they
make (the largest of three such trainings; two programs that round differently come no closer);
how far are the outputs of the test net, with what Caffe has trained.  The log has six digits.
"""

import argparse
import math
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from google.protobuf import text_format

from benchmarks import pictures, timing
from benchmarks.any_net import BASE, hashes, name_of, nets_of, share, study_of, torch_here
from caffe_transfer import paths
from caffe_transfer.errors import CaffeTransferError
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net
from caffe_transfer.formats.writer import write_model
from caffe_transfer.nets.graph import Graph
from caffe_transfer.nets.layers import outputs
from caffe_transfer.nets.phases import included_in
from caffe_transfer.nets.render import parsed_net, render
from caffe_transfer.nets.sizes import image_shape
from caffe_transfer.report.logs import read_logs
from caffe_transfer.training.engine import Engine, find_engine, last_words

BATCH, IMAGES, CLASSES, MARGIN = 2, 10, 10, 8
NUDGED = 3  # trainings from other last bits
NUDGES = np.array([1 - 2**-22, 1, 1 + 2**-22], np.float32)
# (channels, size) of what a net reads that crops nothing, by a word in its path or its source.
READ = {"siamese": (2, 28), "mnist": (1, 28), "lenet": (1, 28), "cifar": (3, 32), "": (3, 64)}
SOLVER = """\
net: "net.prototxt" type: "SGD" base_lr: {rate} lr_policy: "fixed" momentum: 0.9
weight_decay: 0.0005 max_iter: {iterations} display: 1 random_seed: 7 solver_mode: CPU
snapshot_prefix: "{prefix}" snapshot_after_train: {snapshot}
"""
HEADER = (
    "net", "initial blobs equal", "losses", "differ by", "Caffe's from other last bits by",
    "test outputs", "differ by", "minutes", "refused",
)  # fmt: skip
OUTPUT = re.compile(r"\] (?:Batch \d+, \S+ = |Loss: )(\S+)")


class RefusedError(Exception):
    """An engine does not take a net; says which, and why."""


@dataclass(frozen=True)
class Bench:
    """A net's folder, how it is trained, and in which stage it is tested."""

    folder: Path
    iterations: int
    rate: float
    stage: str

    def initial(self, engine: Engine) -> dict[str, list[str]]:
        """The hashes of the parameters before training."""
        self._train(engine, 0, snapshot=True)
        return hashes(self.model(engine, 0))

    def losses(
        self, engine: Engine, weights: Path | None = None, *, snapshot: bool = False
    ) -> list[float]:
        """The losses of the iterations, of one seed; the model stays in a file on demand.

        Args:
            weights: a model to begin with, in place of the seed's own parameters.
        """
        log = self._train(engine, self.iterations, weights, snapshot=snapshot)
        return list(map(float, read_logs([log]).train_loss.values))

    def outputs(self, engine: Engine, model: Path) -> list[float]:
        """What the test net puts out for two batches, with the parameters of a model."""
        argv = ["test", "--model=net.prototxt", f"--weights={model}", "--iterations=2"]
        log = self._call(engine, [*argv, f"--stage={self.stage}"])
        return list(map(float, OUTPUT.findall(log.read_text())))

    def model(self, engine: Engine, iteration: int) -> Path:
        """The file of an engine's parameters after an iteration."""
        return self.folder / f"{engine.name}_iter_{iteration}.caffemodel"

    def _train(
        self, engine: Engine, iterations: int, weights: Path | None = None, *, snapshot: bool
    ) -> Path:
        solver = SOLVER.format(
            rate=self.rate, iterations=iterations, prefix=engine.name,
            snapshot=str(snapshot).lower(),
        )  # fmt: skip
        (self.folder / "solver.prototxt").write_text(solver)
        given = [f"--weights={weights}"] if weights else []
        return self._call(engine, ["train", "--solver=solver.prototxt", *given])

    def _call(self, engine: Engine, arguments: Sequence[str]) -> Path:
        path = self.folder / f"{engine.name}.log"
        with path.open("wb") as log:
            status = subprocess.run(
                [engine.program, *arguments], cwd=self.folder, stdout=log, stderr=log, check=False,
                env=timing.environment(1),
            ).returncode  # fmt: skip
        if status:
            reason = last_words(path.read_text(errors="replace"))
            raise RefusedError(f"{engine.name}: {reason}")
        return path


def main(files: Sequence[Path], iterations: int, rate: float) -> None:
    """Print the table, a net at a time on standard error."""
    print(f"{timing.processor()}; batches of {BATCH}, {iterations} iterations at {rate}\n")
    rows = []
    for file in files:
        with tempfile.TemporaryDirectory() as scratch:
            rows.append(row(file, iterations, rate, Path(scratch)))
        print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
    print(timing.table(HEADER, rows))


def row(file: Path, iterations: int, rate: float, scratch: Path) -> tuple[object, ...]:
    """Everything about one net."""
    start = time.monotonic()
    cells: Sequence[object] = ["-"] * 6
    refused = ""
    try:
        net = made_ready(file, scratch)
        bench = Bench(scratch, iterations, rate, stage_of_tests(net))
        cells = compared(bench, find_engine("caffe"), torch_here())
    except (CaffeTransferError, RefusedError) as error:
        refused = str(error)
    return (name_of(file), *cells, f"{(time.monotonic() - start) / 60:.1f}", refused)


def compared(bench: Bench, caffe: Engine, torch: Engine) -> Sequence[object]:
    """The table's cells about what both engines make of a net.

    Raises:
        RefusedError: one of them, or both, did not take it.
    """
    blobs, refusals = [], []
    for engine in (caffe, torch):
        try:
            blobs.append(bench.initial(engine))
        except RefusedError as error:
            refusals.append(str(error))
    if refusals:
        raise RefusedError("; ".join(refusals))
    theirs, ours = blobs
    equal = [ours.get(name, [])[index : index + 1] == [value]
             for name, values in theirs.items() for index, value in enumerate(values)]  # fmt: skip
    losses = bench.losses(caffe, snapshot=True)
    nudged = [
        write_nudged(bench.model(caffe, 0), bench.folder / f"nudged-{seed}.caffemodel", seed)
        for seed in range(NUDGED)
    ]
    trained = bench.model(caffe, bench.iterations)
    tested = bench.outputs(caffe, trained)
    floor = max(apart(losses, bench.losses(caffe, each)) for each in nudged)
    return (
        share(equal), f"{losses[0]:.4g} to {losses[-1]:.4g}",
        apart(losses, bench.losses(torch)), floor,
        len(tested), apart(tested, bench.outputs(torch, trained)),
    )  # fmt: skip


def write_nudged(model: Path, path: Path, seed: int) -> Path:
    """Write a model whose parameters differ from another's in their last two bits, at random."""
    random = np.random.default_rng(seed)
    with open_model(model) as given, path.open("wb") as file:
        layers = [
            replace(
                layer,
                blobs=tuple(
                    replace(blob, values=blob.values * random.choice(NUDGES, blob.values.size))
                    for blob in layer.blobs
                ),
            )
            for layer in given.layers
        ]
        write_model(given.name, layers, file)
    return path


def apart(expected: Sequence[float], found: Sequence[float]) -> float:
    """The largest difference of two series, each relative to its number or to 1e-3 of the largest.

    Infinite where they are not as long, or where only one is finite; what is not finite in both
    has no difference.
    """
    a, b = np.array(expected), np.array(found)
    if a.shape != b.shape or (np.isfinite(a) != np.isfinite(b)).any():
        return math.inf
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    if not a.size:
        return math.nan
    scale = np.maximum(np.abs(a), 1e-3 * np.abs(a).max())
    return float((np.abs(a - b) / np.where(scale > 0, scale, 1)).max())


def made_ready(file: Path, folder: Path) -> pb.NetParameter:
    """Write net.prototxt, which reads images that are made here; return it.

    Raises:
        CaffeTransferError: the file is no net, or no study can train it.
    """
    net = read_net(file)
    if not Graph(net).losses():
        net = parsed_net(render(BASE, study_of(file, 1)))
    channels, size = images_of(net, file)
    random = np.random.default_rng(1)
    labels = random.integers(0, min(CLASSES, outputs(net) or CLASSES), IMAGES).tolist()
    folder = folder.absolute()
    pictures.write_database(folder / "lmdb", channels, size, labels)
    pictures.write_list(folder / "list.txt", size, labels)
    pictures.write_mean(folder / "mean.binaryproto", channels, size)
    for layer in net.layer:
        if included_in(layer, pb.NetState(phase=pb.TEST)):
            layer.transform_param.mirror = False  # `test` takes its seed from the clock
        if layer.transform_param.mean_file:
            layer.transform_param.mean_file = str(folder / "mean.binaryproto")
        if layer.type == "Data":
            layer.data_param.MergeFrom(
                pb.DataParameter(
                    source=str(folder / "lmdb"), backend=pb.DataParameter.LMDB, batch_size=BATCH
                )
            )
        elif layer.type == "ImageData":
            layer.image_data_param.MergeFrom(
                pb.ImageDataParameter(
                    source=str(folder / "list.txt"), root_folder="", batch_size=BATCH,
                    shuffle=False, rand_skip=0,
                )
            )  # fmt: skip
    (folder / "net.prototxt").write_text(text_format.MessageToString(net))
    return net


def images_of(net: pb.NetParameter, file: Path) -> tuple[int, int]:
    """Channels and size of the images to make, a little larger than what the net crops."""
    for layer in net.layer:
        if layer.image_data_param.new_height:
            return 3, layer.image_data_param.new_height
    seen = image_shape(net)
    if seen is not None:
        return seen[0], seen[1] + MARGIN
    sources = [layer.data_param.source for layer in net.layer]
    words = " ".join([str(file), *sources]).lower()
    return next(shape for word, shape in READ.items() if word in words)


def stage_of_tests(net: pb.NetParameter) -> str:
    """A stage in which the net is tested, where it names some; else none."""
    rules = [rule for layer in net.layer for rule in layer.include if rule.phase == pb.TEST]
    return next((rule.stage[0] for rule in rules if rule.stage), "")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="NET.prototxt")
    parser.add_argument("--models", type=Path, default=paths.caffe_prefix() / "share/caffe/models")
    parser.add_argument("--net", action="append", help="only nets with this in their path")
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--rate", type=float, default=0.00001)
    given = parser.parse_args()
    chosen = [path for path in (*nets_of(given.models), *given.files)
              if not given.net or any(name in str(path) for name in given.net)]  # fmt: skip
    main(chosen, given.iterations, given.rate)
