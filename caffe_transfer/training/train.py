"""One network: preflight, lock, resume, train, verify frozen blobs, manifest."""

import math
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from caffe_transfer.errors import EngineError, FormatError, Interrupted
from caffe_transfer.files import sync
from caffe_transfer.formats.hashes import blob_hashes
from caffe_transfer.lock import Held, locked
from caffe_transfer.paths import RunFolder
from caffe_transfer.report.logs import Follower
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.study import LAST
from caffe_transfer.training import engine as engines
from caffe_transfer.training import manifest as manifests
from caffe_transfer.training.engine import Engine
from caffe_transfer.training.failure import failure_noted
from caffe_transfer.training.finished import check_can_go_on, recorded_model
from caffe_transfer.training.gpus import check_gpus, gpus_of
from caffe_transfer.training.init_weights import prepare_init
from caffe_transfer.training.preflight import LoadedNetwork, check_inputs, load_network
from caffe_transfer.training.snapshots import keep_model, keep_newest, newest_complete

POLL_SECONDS = 0.2
SNAPSHOT_POLL_SECONDS = 2.0


@dataclass(frozen=True)
class TrainingProgress:
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
        keep_snapshots: EVERY, or LAST: in training the newest two, in the end the model alone;
            None for what the study of the network's run says, or else LAST.
    """

    engine: Engine
    gpu: str | None = None
    threads: int = 1
    keep_snapshots: str | None = None


OnProgress = Callable[[TrainingProgress], None]


def train_network(
    root: Path, settings: Settings, report: OnProgress, stop: threading.Event | None = None
) -> dict[str, Any]:
    """Train a network's folder to its end; what is done already is not done again.

    Args:
        report: called a few times a second.
        stop: set it to make the engine write a snapshot and end.

    Returns:
        the manifest.

    Raises:
        Incomplete, BadInput: something that training needs is missing or does not fit, such as
            the solver state of a finished network whose max_iter was raised.
        Busy: another process trains this folder.
        EngineError: the engine cannot use the GPU, or failed; names its log and its last words.
        Interrupted: `stop` was set.
        FormatError: a frozen blob has changed.
    """
    loaded = load_network(root)
    if settings.keep_snapshots is None:
        settings = replace(settings, keep_snapshots=_keep_snapshots(loaded))
    stop = stop or threading.Event()
    signs = (loaded.folder.logs, loaded.snapshots)
    with locked(loaded.folder.lock, signs, stop) as lock, failure_noted(loaded.folder):
        manifest = manifests.read(loaded.folder.manifest)
        if not manifests.is_finished(manifest, loaded.solver.max_iter):
            check_can_go_on(loaded)
            check_inputs(loaded, views=settings.engine.reads_views)
            if gpus := gpus_of(settings.gpu, loaded.solver):
                check_gpus(settings.engine, gpus)
            init = prepare_init(loaded, settings.engine, stop)
            _run_engine(loaded, init, settings, lock, report, stop)
            manifest = _finish(loaded, settings)
        elif (model := recorded_model(loaded, manifest)).is_file():
            verify_frozen(loaded, model)
        _clear(loaded, manifest)
        return manifest


def _keep_snapshots(loaded: LoadedNetwork) -> str:
    """What the study of a network's run says; LAST for a folder outside of a run."""
    file = RunFolder(loaded.folder.root.parent.parent).study
    return load_study(str(file)).keep_snapshots if file.is_file() else LAST


def _run_engine(
    loaded: LoadedNetwork,
    init: Path | None,
    settings: Settings,
    lock: Held,
    report: OnProgress,
    stop: threading.Event,
) -> None:
    newest = newest_complete(loaded.snapshots)
    if newest:
        # Weeks before the proof at the end would tell it: init.caffemodel may be another by now.
        verify_frozen(loaded, newest.model)
    loaded.snapshots.mkdir(parents=True, exist_ok=True)
    loaded.folder.logs.mkdir(exist_ok=True)
    log = loaded.folder.logs / f"train-{datetime.now():%Y%m%d-%H%M%S-%f}.log"
    argv = settings.engine.train(
        loaded.folder.solver.name,
        weights=init.name if init else None,
        snapshot=newest.state.relative_to(loaded.folder.root) if newest else None,
        gpu=settings.gpu,
    )
    first = newest.iteration if newest else 0
    _note_start(loaded, settings, argv, first)
    if stop.is_set():
        raise _stopped(loaded, first)
    with log.open("wb") as file:
        process = engines.start(argv, loaded.folder.root, file, settings.threads, lock.descriptor)
    with lock.guard(process.kill):
        try:
            _follow(loaded, process, log, first, settings, report, stop)
        finally:
            engines.snapshot_and_stop(process)
            process.wait()
    # An engine that still loads its libraries does not know the wish to stop, and dies of it.
    stopped_at_start = stop.is_set() and process.returncode == -signal.SIGINT
    if process.returncode and not stopped_at_start:
        raise engines.failed(settings.engine, process.returncode, log)
    newest = newest_complete(loaded.snapshots)
    if newest is None or newest.iteration < loaded.solver.max_iter:
        if stop.is_set():
            raise _stopped(loaded, newest.iteration if newest else 0)
        raise EngineError(
            f"{settings.engine.name} ended before iteration {loaded.solver.max_iter}; see {log}"
        )


def _stopped(loaded: LoadedNetwork, iteration: int) -> Interrupted:
    return Interrupted(
        f"stopped at iteration {iteration} of {loaded.solver.max_iter}; run the same command again "
        "to go on"
    )


def _follow(
    loaded: LoadedNetwork,
    process: Any,
    log: Path,
    first: int,
    settings: Settings,
    report: OnProgress,
    stop: threading.Event,
) -> None:
    """Report progress from the engine's log until it ends; pass on a wish to stop."""
    follower, started, asked, looked = Follower(), time.monotonic(), False, -math.inf
    noted = False  # what the resume was, if it is one
    with log.open("rb") as file:
        while True:
            running = process.poll() is None
            follower.feed(file.read())
            seconds = time.monotonic() - started
            report(progress_of(loaded.name, loaded.solver.max_iter, follower, first, seconds))
            if first and not noted and follower.resume:
                _note_resume(loaded, follower.resume)
                noted = True
            if time.monotonic() >= looked + SNAPSHOT_POLL_SECONDS or not running:
                _remove_older(loaded, settings)
                looked = time.monotonic()
            if not running:
                return
            if stop.is_set() and not asked:
                engines.snapshot_and_stop(process)
                asked = True
            time.sleep(POLL_SECONDS)


def _remove_older(loaded: LoadedNetwork, settings: Settings) -> None:
    if settings.keep_snapshots == LAST:
        with suppress(OSError):  # no reason to end a training; the next look tries again
            keep_newest(loaded.snapshot_prefix)


def progress_of(
    name: str, max_iter: int, follower: Follower, first: int, seconds: float
) -> TrainingProgress:
    """How far a training is by its log.

    Args:
        first: the iteration at which it was `seconds` ago.
    """
    iteration = follower.iteration or first
    done, left = iteration - first, max_iter - iteration
    return TrainingProgress(
        name,
        iteration,
        max_iter,
        math.nan if follower.loss is None else follower.loss,
        math.nan if follower.accuracy is None else follower.accuracy,
        seconds / done * left if done > 0 else None,
    )


def _note_start(loaded: LoadedNetwork, settings: Settings, argv: list[str], first: int) -> None:
    manifest = manifests.read(loaded.folder.manifest)
    inputs = manifests.input_hashes(loaded.folder.root, loaded.inputs)
    run = {"started": manifests.now(), "from_iteration": first, "argv": argv, "resume": None}
    if first and (changed := manifests.changed_inputs(manifest.get("inputs", {}), inputs)):
        run["changed_inputs"] = changed
    runs = [*manifest.get("runs", []), run]
    manifests.write(
        loaded.folder.manifest,
        {
            "network": loaded.name,
            "random_seed": loaded.solver.random_seed,
            "max_iter": loaded.solver.max_iter,
            "engine": {"name": settings.engine.name, "version": settings.engine.version()},
            "threads": settings.threads,
            "gpu": settings.gpu,
            "versions": manifests.surroundings(),
            "inputs": inputs,
            "runs": runs,
        },
    )


def _note_resume(loaded: LoadedNetwork, how: str) -> None:
    manifest = manifests.read(loaded.folder.manifest)
    manifest["runs"][-1]["resume"] = how
    manifests.write(loaded.folder.manifest, manifest)


def _finish(loaded: LoadedNetwork, settings: Settings) -> dict[str, Any]:
    manifest = manifests.read(loaded.folder.manifest)
    newest = newest_complete(loaded.snapshots)
    assert newest is not None
    sync(newest.model, *loaded.folder.logs.glob("*"))  # the logs are all that is known of it
    manifest["frozen"] = verify_frozen(loaded, newest.model)
    manifest["model"] = manifests.input_hashes(
        loaded.folder.root, [str(newest.model.relative_to(loaded.folder.root))]
    )
    manifest["keep_snapshots"] = settings.keep_snapshots
    manifest["finished"] = manifests.now()
    manifests.write(loaded.folder.manifest, manifest)
    return manifest


def _clear(loaded: LoadedNetwork, manifest: Mapping[str, Any]) -> None:
    """Remove what a finished network's manifest says is not kept, unless that is done already."""
    model = recorded_model(loaded, manifest)
    if manifest.get("keep_snapshots") == LAST and model.is_file():
        sync(loaded.folder.manifest)
        keep_model(loaded.snapshot_prefix, model)


def verify_frozen(loaded: LoadedNetwork, model: Path) -> dict[str, list[str]]:
    """Prove that every frozen blob of a trained model is byte-identical to its source.

    Returns:
        SHA-256 of the blobs of each frozen layer.

    Raises:
        FormatError: a blob differs; names the layer and both files.
    """
    if not loaded.frozen:
        return {}
    before = blob_hashes(loaded.folder.init, loaded.frozen)
    after = blob_hashes(model, loaded.frozen)
    for layer in loaded.frozen:
        if layer not in before or before[layer] != after.get(layer):
            raise FormatError(
                f"layer {layer} was to be frozen, but differs between {loaded.folder.init} and "
                f"{model}; train the network anew"
            )
    return after
