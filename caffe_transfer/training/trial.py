"""A trial: an engine trains a network for a few iterations on images of noise, and is timed."""

import re
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.lmdbs import write_lmdb
from caffe_transfer.data_prep.means import write_mean
from caffe_transfer.errors import EngineError, Interrupted
from caffe_transfer.files import scratch_folder
from caffe_transfer.nets.write import write_network
from caffe_transfer.paths import NetworkFolder, RunFolder
from caffe_transfer.report.logs import Follower, read_logs
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study
from caffe_transfer.training import engine as engines
from caffe_transfer.training.engine import last_words
from caffe_transfer.training.gpus import check_gpus
from caffe_transfer.training.train import Settings

MOST_ITERATIONS = 200
_POLL_SECONDS = 0.05
_TESTING = re.compile(r"^I\S* (\S+) .*\] Iteration 0, Testing net", re.M)
_TESTED = re.compile(r"^I\S* (\S+) .*\] +Test net output", re.M)
_DAY = timedelta(days=1)

# Whether to end a trial: seconds since the first loss was logged, and iterations done.
Enough = Callable[[float, int], bool]


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


def try_training(
    study: Study,
    network: Network,
    slots: Sequence[Settings],
    enough: Enough,
    stop: threading.Event | None = None,
) -> list[Pace]:
    """Train a network of a study in a temporary folder, in each of some slots at once.

    Batches, buffers and the device's memory are those of the real training.

    Args:
        slots: the engine and device of each training.
        enough: when all trainings may end; they do at MOST_ITERATIONS anyway.
        stop: set it to end now.

    Returns:
        the pace of each slot.

    Raises:
        EngineError: an engine does not start, or cannot train the network.
        Interrupted: `stop` was set.
    """
    check_slots(study, slots)
    stop = stop or threading.Event()
    place = Path(tempfile.gettempdir(), "caffe-transfer-trial")
    with scratch_folder(place) as folder, ExitStack() as stack:
        run = RunFolder(folder)
        _write_data(study, network, run)
        trials = [
            stack.enter_context(_Trial(_write_network(study, network, run, slot), settings))
            for slot, settings in enumerate(slots)
        ]
        while not all(trial.is_over(enough) for trial in trials):
            if stop.wait(_POLL_SECONDS):
                raise Interrupted(
                    "stopped while the engine was tried; run the same command again to go on"
                )
        return [trial.pace() for trial in trials]


def check_slots(study: Study, slots: Sequence[Settings]) -> None:
    """Ask whether the engine can use the devices of some slots.

    Raises:
        EngineError: it cannot; see `gpus.check_gpus`.
    """
    by_solver = "0" if study.solver.gpu else None
    named = dict.fromkeys(slot.gpu or by_solver for slot in slots)
    if gpus := ",".join(filter(None, named)):
        check_gpus(slots[0].engine, gpus)


def _write_data(study: Study, network: Network, run: RunFolder) -> None:
    """A batch of noise to train on and one to test on."""
    images, gray = study.images, study.images.gray
    noise = np.random.default_rng(0).integers(0, 256, (images.size, images.size, 3), np.uint8)
    cv2.imwrite(str(run.root / "noise.png"), noise)
    for name, count in (
        (network.train_data, study.batch),
        (network.valid_data, study.test_batch),
    ):
        labels = tuple(number % study.outputs(network) for number in range(count))
        listed = ImageList(("noise.png",) * count, labels)
        write_lmdb(listed, run.root, run.data.lmdb(name), size=images.size, gray=gray)
    write_mean([run.data.lmdb(network.train_data)], run.data.mean)


def _write_network(study: Study, network: Network, run: RunFolder, slot: int) -> Path:
    """The network's folder, in one of its own for each slot, at the depth of results/."""
    solver = replace(
        study.solver_of(network),
        max_iter=MOST_ITERATIONS,
        display=1,
        average_loss=1,
        test_iter=1,
        test_interval=2 * MOST_ITERATIONS,
        snapshot=2 * MOST_ITERATIONS,
    )
    tried = replace(study, solver=solver, reduced_solver=None, networks=(network,))
    root = write_network(network, tried, run.root / f"slot{slot}")
    NetworkFolder(root).snapshots.mkdir()
    return root


class _Trial:
    """One training; a context manager that ends it."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self._settings = settings
        self._log = root.with_suffix(".log")
        self._follower = Follower()
        self._since: float | None = None
        self._over = False
        argv = settings.engine.train(NetworkFolder.names().solver, gpu=settings.gpu)
        self._begun = datetime.now()
        with self._log.open("wb") as file:
            self._process = engines.start(argv, root, file, settings.threads, inherit=file.fileno())
        self._reader = self._log.open("rb")

    def __enter__(self) -> "_Trial":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # what it has learned is of no use
        self._process.wait()
        self._reader.close()

    def is_over(self, enough: Enough) -> bool:
        """Whether it has ended, or been enough.

        Raises:
            EngineError: it failed.
        """
        status = self._process.poll()
        self._follower.feed(self._reader.read())
        if status:
            raise self._failed(f"status {status}")
        if self._follower.loss is not None:
            self._since = self._since or time.monotonic()
            self._over |= enough(time.monotonic() - self._since, self._follower.iteration)
        return self._over or status is not None

    def pace(self) -> Pace:
        """What was measured.

        Raises:
            EngineError: the log says too little.
        """
        text = self._log.read_text(errors="replace")
        testing, tested = _TESTING.search(text), _TESTED.search(text)
        iteration = read_logs([self._log]).seconds_per_iteration
        if testing is None or tested is None or iteration is None:
            raise self._failed("too few lines in its log")
        first, second = (_since(self._begun, match[1]) for match in (testing, tested))
        return Pace(start=first, iteration=iteration, test_batch=max(0.0, second - first))

    def _failed(self, how: str) -> EngineError:
        words = last_words(self._log.read_text(errors="replace"))
        return EngineError(
            f"{self._settings.engine.name} cannot train this net on this machine: {words} ({how})"
        )


def _since(begun: datetime, clock: str) -> float:
    """Seconds from a moment to the next time that a clock shows hours, minutes and seconds."""
    shown = datetime.strptime(clock, "%H:%M:%S.%f").time()
    passed = datetime.combine(begun.date(), shown) - begun
    return (passed % _DAY).total_seconds()
