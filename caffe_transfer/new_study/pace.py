"""How fast this machine trains a network: an engine is timed on images of noise."""

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from subprocess import Popen

import cv2
import numpy as np

from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.lmdbs import write_lmdb
from caffe_transfer.data_prep.means import write_mean
from caffe_transfer.errors import EngineError
from caffe_transfer.nets.write import write_network
from caffe_transfer.paths import NetworkFolder, RunFolder
from caffe_transfer.report.logs import Follower, read_logs
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study
from caffe_transfer.training import engine as engines
from caffe_transfer.training.engine import last_words
from caffe_transfer.training.train import Settings

# A network is timed until both are reached, or to its last iteration.
ENOUGH_SECONDS = 4.0
ENOUGH_ITERATIONS = 3
MOST_ITERATIONS = 200
_POLL_SECONDS = 0.05
_TESTING = re.compile(r"^I\S* (\S+) .*\] Iteration 0, Testing net", re.M)
_TESTED = re.compile(r"^I\S* (\S+) .*\] +Test net output", re.M)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Pace:
    """What parts of a network's training take, in seconds.

    Attributes:
        start: from the engine's start to its first batch.
        iteration: one training iteration.
        test_batch: one batch of a test.
    """

    start: float
    iteration: float
    test_batch: float


Measure = Callable[[Study, Network, Settings], Pace]


def measure_pace(study: Study, network: Network, settings: Settings) -> Pace:
    """Train a network of a study for a few seconds, in a temporary folder, and time it.

    Raises:
        EngineError: the engine does not start, or cannot train the network.
    """
    with tempfile.TemporaryDirectory(prefix="caffe-transfer-") as folder:
        root = _network_to_time(study, network, RunFolder(Path(folder)))
        log = root.with_suffix(".log")
        begun = datetime.now()
        with _training(root, log, settings) as process:
            _wait(process, log)
        return _pace(log, begun, settings)


def _network_to_time(study: Study, network: Network, folder: RunFolder) -> Path:
    """The network's folder, with a batch of noise to train on and one to test on."""
    solver = replace(
        study.solver,
        max_iter=MOST_ITERATIONS,
        display=1,
        average_loss=1,
        test_iter=1,
        test_interval=2 * MOST_ITERATIONS,
        snapshot=2 * MOST_ITERATIONS,
    )
    timed = replace(study, solver=solver, networks=(network,))
    images, gray = study.images, study.images.gray
    noise = np.random.default_rng(0).integers(0, 256, (images.size, images.size, 3), np.uint8)
    cv2.imwrite(str(folder.root / "noise.png"), noise)
    for name, count in (
        (network.train_data, study.batch),
        (network.valid_data, study.test_batch),
    ):
        labels = tuple(number % study.outputs(network) for number in range(count))
        listed = ImageList(("noise.png",) * count, labels)
        write_lmdb(listed, folder.root, folder.data.lmdb(name), size=images.size, gray=gray)
    write_mean([folder.data.lmdb(network.train_data)], folder.data.mean)
    return write_network(network, timed, folder.results)


@contextmanager
def _training(root: Path, log: Path, settings: Settings) -> Iterator[Popen[bytes]]:
    names = NetworkFolder.names()
    (root / names.snapshots).mkdir()
    argv = settings.engine.train(names.solver, gpu=settings.gpu)
    with log.open("wb") as file:
        process = engines.start(argv, root, file, settings.threads, inherit=file.fileno())
    try:
        yield process
    finally:
        process.kill()  # what it has learned is of no use
        process.wait()


def _wait(process: Popen[bytes], log: Path) -> None:
    follower = Follower()
    since: float | None = None
    with log.open("rb") as file:
        while process.poll() is None:
            follower.feed(file.read())
            if follower.loss is not None:
                since = since or time.monotonic()
                long = time.monotonic() - since >= ENOUGH_SECONDS
                if long and follower.iteration >= ENOUGH_ITERATIONS:
                    return
            time.sleep(_POLL_SECONDS)


def _pace(log: Path, begun: datetime, settings: Settings) -> Pace:
    text = log.read_text(errors="replace")
    testing, tested = _TESTING.search(text), _TESTED.search(text)
    iteration = read_logs([log]).seconds_per_iteration
    if testing is None or tested is None or iteration is None:
        raise EngineError(
            f"{settings.engine.name} cannot train this net on this machine: {last_words(text)}"
        )
    first, second = (_since(begun, match[1]) for match in (testing, tested))
    return Pace(start=first, iteration=iteration, test_batch=max(0.0, second - first))


def _since(begun: datetime, clock: str) -> float:
    """Seconds from a moment to the next time that a clock shows hours, minutes and seconds."""
    shown = datetime.strptime(clock, "%H:%M:%S.%f").time()
    passed = datetime.combine(begun.date(), shown) - begun
    return (passed % _DAY).total_seconds()
