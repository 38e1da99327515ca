"""One network: preflight, lock, resume, train, verify frozen blobs, manifest."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

from caffe_transfer.errors import EngineError, FormatError, Interrupted
from caffe_transfer.formats.hashes import blob_hashes
from caffe_transfer.report.logs import Follower
from caffe_transfer.training import engine as engines
from caffe_transfer.training import manifest as manifests
from caffe_transfer.training.engine import Engine, last_words
from caffe_transfer.training.init_weights import prepare_init
from caffe_transfer.training.lock import locked
from caffe_transfer.training.preflight import Plan, check_inputs, read_plan
from caffe_transfer.training.snapshots import newest_complete

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Progress:
    """How far a network's training is; loss and accuracy are nan before the first are known."""

    name: str
    iteration: int
    max_iter: int
    loss: float
    accuracy: float
    seconds_left: float | None


@dataclass(frozen=True)
class Settings:
    """How networks are trained.

    Attributes:
        gpu: Caffe's device numbers, such as "0" or "0,1"; None leaves it to the solver.
        threads: of the BLAS library; a network's weights depend on it in the last bits.
    """

    engine: Engine
    gpu: str | None = None
    threads: int = 1


Report = Callable[[Progress], None]


def train(
    root: Path, settings: Settings, report: Report, stop: threading.Event | None = None
) -> dict[str, Any]:
    """Train a network's folder to its end; what is done already is not done again.

    Args:
        report: called a few times a second.
        stop: set it to make the engine write a snapshot and end.

    Returns:
        the manifest.

    Raises:
        Incomplete, BadInput: something that training needs is missing or does not fit.
        Busy: another process trains this folder.
        EngineError: the engine failed; names its log and its last words.
        Interrupted: `stop` was set.
        FormatError: a frozen blob has changed.
    """
    plan = read_plan(root)
    with locked(plan.folder.lock) as lock:
        if not manifests.is_finished(plan.folder.manifest):
            check_inputs(plan)
            init = prepare_init(plan, settings.engine)
            _run_engine(plan, init, settings, lock, report, stop or threading.Event())
        return _finish(plan)


def _run_engine(
    plan: Plan,
    init: Path | None,
    settings: Settings,
    lock: int,
    report: Report,
    stop: threading.Event,
) -> None:
    newest = newest_complete(plan.snapshots)
    plan.snapshots.mkdir(parents=True, exist_ok=True)
    plan.folder.logs.mkdir(exist_ok=True)
    log = plan.folder.logs / f"train-{datetime.now():%Y%m%d-%H%M%S-%f}.log"
    argv = settings.engine.train(
        plan.folder.solver.name,
        weights=init.name if init else None,
        snapshot=newest.state.relative_to(plan.folder.root) if newest else None,
        gpu=settings.gpu,
    )
    first = newest.iteration if newest else 0
    _note_start(plan, settings, argv, first)
    with log.open("wb") as file:
        process = engines.start(argv, plan.folder.root, file, settings.threads, lock)
    try:
        _follow(plan, process, log, first, report, stop)
    finally:
        engines.snapshot_and_stop(process)
        process.wait()
    if process.returncode:
        words = last_words(log.read_text(errors="replace"))
        raise EngineError(
            f"{plan.name}: {settings.engine.name} ended with status {process.returncode}: "
            f"{words}; see {log}"
        )
    newest = newest_complete(plan.snapshots)
    if newest is None or newest.iteration < plan.solver.max_iter:
        if stop.is_set():
            raise Interrupted(
                f"{plan.name} was stopped at iteration {newest.iteration if newest else 0} of "
                f"{plan.solver.max_iter}; run the same command again to go on"
            )
        raise EngineError(
            f"{plan.name}: {settings.engine.name} ended before iteration "
            f"{plan.solver.max_iter}; see {log}"
        )


def _follow(
    plan: Plan, process: Any, log: Path, first: int, report: Report, stop: threading.Event
) -> None:
    """Report progress from the engine's log until it ends; pass on a wish to stop."""
    follower, started, asked = Follower(), time.monotonic(), False
    with log.open("rb") as file:
        while True:
            running = process.poll() is None
            follower.feed(file.read())
            report(_progress(plan, follower, first, time.monotonic() - started))
            if not running:
                return
            if stop.is_set() and not asked:
                engines.snapshot_and_stop(process)
                asked = True
            time.sleep(POLL_SECONDS)


def _progress(plan: Plan, follower: Follower, first: int, seconds: float) -> Progress:
    iteration = follower.iteration or first
    done, left = iteration - first, plan.solver.max_iter - iteration
    return Progress(
        plan.name,
        iteration,
        plan.solver.max_iter,
        math.nan if follower.loss is None else follower.loss,
        math.nan if follower.accuracy is None else follower.accuracy,
        seconds / done * left if done > 0 else None,
    )


def _note_start(plan: Plan, settings: Settings, argv: list[str], first: int) -> None:
    manifest = manifests.read(plan.folder.manifest)
    runs = manifest.get("runs", [])
    runs.append({"started": manifests.now(), "from_iteration": first, "argv": argv})
    manifests.write(
        plan.folder.manifest,
        {
            "network": plan.name,
            "random_seed": plan.solver.random_seed,
            "max_iter": plan.solver.max_iter,
            "engine": {"name": settings.engine.name, "version": settings.engine.version()},
            "threads": settings.threads,
            "gpu": settings.gpu,
            "versions": manifests.surroundings(),
            "inputs": manifests.input_hashes(plan.folder.root, plan.inputs),
            "runs": runs,
        },
    )


def _finish(plan: Plan) -> dict[str, Any]:
    manifest = manifests.read(plan.folder.manifest)
    frozen = verify_frozen(plan)
    if manifest.get("finished"):
        return manifest
    newest = newest_complete(plan.snapshots)
    assert newest is not None
    manifest["model"] = manifests.input_hashes(
        plan.folder.root, [str(newest.model.relative_to(plan.folder.root))]
    )
    manifest["frozen"] = frozen
    manifest["finished"] = manifests.now()
    manifests.write(plan.folder.manifest, manifest)
    return manifest


def verify_frozen(plan: Plan) -> dict[str, list[str]]:
    """Prove that every frozen blob is byte-identical to its source.

    Returns:
        SHA-256 of the blobs of each frozen layer.

    Raises:
        FormatError: a blob differs; names the layer and both files.
    """
    newest = newest_complete(plan.snapshots)
    if plan.network is None or not plan.network.frozen_layers or newest is None:
        return {}
    before = blob_hashes(plan.folder.init, plan.network.frozen_layers)
    after = blob_hashes(newest.model, plan.network.frozen_layers)
    for layer in plan.network.frozen_layers:
        if layer not in before or before[layer] != after.get(layer):
            raise FormatError(
                f"layer {layer} was to be frozen, but differs between {plan.folder.init} and "
                f"{newest.model}; train the network anew"
            )
    return after


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set."""
    stop = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {each: signal.signal(each, handle) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
