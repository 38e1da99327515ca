"""What is asked before a run makes anything: are images there, does the engine work, is disk left?

A run of weeks should not find out after its databases that it has no GPU.
"""

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caffe_transfer.cost import Estimate
from caffe_transfer.data_prep.folders import list_folder
from caffe_transfer.data_prep.sources import FOLDER, check_given
from caffe_transfer.errors import BadInput, EngineError, FormatError
from caffe_transfer.paths import NetworkFolder, RunFolder
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study
from caffe_transfer.training import manifest as manifests
from caffe_transfer.training.snapshots import snapshots
from caffe_transfer.training.train import Settings
from caffe_transfer.training.trial import Pace, try_training
from caffe_transfer.units import duration, size

# A trial ends after so many iterations; where they are slow, after the second.
TRIAL_ITERATIONS = 3
TRIAL_SECONDS = 5.0


def check_images(study: Study, folder: RunFolder, given: Path | None) -> None:
    """Ask whether the images are there, with the classes that the study says.

    Args:
        given: their folder or archive; None for the study's own, or to fetch them.

    Raises:
        Incomplete: they are not.
        BadInput: their folder has other classes, or cannot be read.
    """
    if folder.images.is_dir():  # as an earlier run has found them
        return
    given = given or (Path(study.images.path) if study.images.path else None)
    check_given(study.images.source, given)
    if study.images.source == FOLDER and given and given.is_dir():
        listing = list_folder(given, study.images.valid_fraction)
        count = len(listing.classes)
        if not listing.problems and count != study.images.classes:
            raise BadInput(
                f"study {study.name!r} has images.classes = {study.images.classes}, but {given} "
                f"has {count} classes; correct the study or the images"
            )


def check_disk(cost: Estimate, folder: RunFolder) -> None:
    """Ask whether the disk has space for what the run will make, beside what it has made.

    Raises:
        BadInput: it has not; names both numbers.
    """
    needed: Counter[int] = Counter()
    roots: dict[int, Path] = {}
    for root, total in (
        (folder.data.root, cost.data_bytes or 0),
        (folder.results, cost.snapshot_bytes),
    ):
        there = next(path for path in (root, *root.parents) if path.exists())
        device = there.stat().st_dev
        needed[device] += max(0, total - _used(root))
        roots.setdefault(device, there)
    for device, count in needed.items():
        free = shutil.disk_usage(roots[device]).free
        if count > free:
            raise BadInput(
                f"the run needs {size(count)} more of disk (databases {size(cost.data_bytes)} and "
                f"snapshots {size(cost.snapshot_bytes)} in all), and {roots[device]} has "
                f"{size(free)} left; free some space, or name a folder on another disk"
            )


def _used(root: Path) -> int:
    return sum(path.lstat().st_size for path in root.rglob("*") if path.is_file())


def check_engine(
    study: Study,
    folder: RunFolder,
    slots: Sequence[Settings],
    note: Callable[[str], None],
    stop: threading.Event,
) -> None:
    """Ask whether the engine can train the study on its devices, by a few iterations, and how fast.

    All slots are tried at once, since they share memory and cores.  Nothing is asked if no network
    is left to train, or if one was trained to its end with the same engine on the same device.

    Args:
        slots: as `schedule.slots` returns them.
        note: called with what is asked and what was found.

    Raises:
        EngineError: it cannot; says why.
        Interrupted: `stop` was set.
    """
    left = _left(study, folder)
    if not left or _is_proven(study, folder, slots):
        return
    # A network that learns in all its layers takes most memory and time.
    network = min((each.network for each in left), key=lambda network: network.frozen_count)
    engine, slots = slots[0].engine, slots[: len(left)]
    note(f"trying {engine.name}: {network.name}, batches of {study.batch}{_devices(slots)}")
    try:
        paces = try_training(study, network, slots, _is_enough, stop)
    except EngineError as error:
        raise EngineError(
            f"{error}; choose another --engine or --gpu, or change gpu in the study's [solver] or "
            "its batch"
        ) from error
    seconds = sum(_seconds(each, study, max(paces, key=lambda p: p.iteration)) for each in left)
    own = study.seconds_per_iteration
    by_study = ""
    if own is not None:
        total = own * sum(each.iterations for each in left) / len(slots)
        by_study = f", {duration(total)} at the study's own pace"
    note(
        f"time: at most {duration(seconds / len(slots))} for {len(left)} networks, by this "
        f"trial{by_study}"
    )


@dataclass(frozen=True)
class _Left:
    """A network that is not trained to its end, and the iterations that it lacks."""

    network: Network
    iterations: int


def _left(study: Study, folder: RunFolder) -> list[_Left]:
    found = []
    for network in study.networks:
        max_iter = study.solver_of(network).max_iter
        files = folder.network(network.name)
        if not manifests.is_trained(files, max_iter):
            newest = next(iter(snapshots(files.snapshots)), None)
            found.append(_Left(network, max_iter - newest.iteration if newest else max_iter))
    return found


def _is_proven(study: Study, folder: RunFolder, slots: Sequence[Settings]) -> bool:
    """Whether a network of the run was trained to its end as each slot will train."""
    manifests_here = [_manifest(folder.network(network.name)) for network in study.networks]
    used = [(each["engine"], each["gpu"]) for each in manifests_here if each.get("finished")]
    if not used:
        return False
    version = slots[0].engine.version()
    return all(({"name": slot.engine.name, "version": version}, slot.gpu) in used for slot in slots)


def _manifest(folder: NetworkFolder) -> Mapping[str, Any]:
    """A network's manifest; an empty one in the place of a broken one, which training names."""
    try:
        return manifests.read(folder.manifest)
    except FormatError:
        return {}


def _is_enough(seconds: float, iteration: int) -> bool:
    return iteration >= (1 if seconds >= TRIAL_SECONDS else TRIAL_ITERATIONS)


def _devices(slots: Sequence[Settings]) -> str:
    gpus = dict.fromkeys(slot.gpu for slot in slots if slot.gpu is not None)
    at_once = f", {len(slots)} at once" if len(slots) > 1 else ""
    return f" on GPU {', '.join(gpus)}{at_once}" if gpus else at_once


def _seconds(left: _Left, study: Study, pace: Pace) -> float:
    """The time of a network's training, tests included."""
    solver = study.solver_of(left.network)
    tests = left.iterations // solver.test_interval + 1
    # The first test is slow while memory is allocated; no test takes longer than training on as
    # many images.
    batch = min(pace.test_batch, pace.iteration * study.test_batch / study.batch)
    return pace.start + left.iterations * pace.iteration + tests * solver.test_iter * batch
