"""What is asked before a run makes anything: are images there, does the engine work, is disk left?

A run of weeks should not find out after its databases that it has no GPU.
"""

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from caffe_transfer.cost import Estimate
from caffe_transfer.data_prep.listings import listing_of
from caffe_transfer.data_prep.sources import FOLDER, check_given
from caffe_transfer.errors import BadInput, EngineError
from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.study import Study
from caffe_transfer.training.manifest import manifest_of
from caffe_transfer.training.remaining import Left, left
from caffe_transfer.training.train import Settings
from caffe_transfer.training.trial import Pace, check_slots, try_training
from caffe_transfer.units import duration, size

# A trial ends after so many iterations; where they are slow, after the second.
TRIAL_ITERATIONS = 3
TRIAL_SECONDS = 5.0
_BLOCK = 512  # bytes, the unit of st_blocks


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
        listing = listing_of(given, study.images.valid_fraction)
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
    for space in spaces(cost, folder):
        if space.needed > space.free:
            raise BadInput(
                f"the run needs {size(space.needed)} more of disk ({parts(cost)} in all), and "
                f"{space.root} has {size(space.free)} left; free some space, or name a folder on "
                "another disk"
            )


def parts(cost: Estimate, databases: str | None = None) -> str:
    """What takes space on the disk, and how much.

    Args:
        databases: their size where it depends on the engine.
    """
    images = f"images {size(cost.image_bytes)}, " if cost.image_bytes else ""
    return (
        f"{images}databases {databases or size(cost.data_bytes)}, snapshots "
        f"{size(cost.snapshot_bytes)}"
    )


@dataclass(frozen=True)
class Space:
    """One disk that a run writes to.

    Attributes:
        root: a folder on it.
        needed: bytes that the run will write, beside what it has written.
        free: bytes that are left.
    """

    root: Path
    needed: int
    free: int


def spaces(cost: Estimate, folder: RunFolder) -> list[Space]:
    """The disks that a run writes to, what it needs there and what is free."""
    needed: Counter[int] = Counter()
    roots: dict[int, Path] = {}
    for root, total in (
        (folder.images, 0 if folder.images.is_dir() else cost.image_bytes),
        (folder.data.root, cost.data_bytes or 0),
        (folder.results, cost.snapshot_bytes),
    ):
        there = next(path for path in (root, *root.parents) if path.exists())
        device = there.stat().st_dev
        needed[device] += max(0, total - _used(root)) if total else 0
        roots.setdefault(device, there)
    return [
        Space(roots[device], count, shutil.disk_usage(roots[device]).free)
        for device, count in needed.items()
    ]


def _used(root: Path) -> int:
    return sum(path.lstat().st_blocks * _BLOCK for path in root.rglob("*") if path.is_file())


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
        slots: as `local.slots` returns them.
        note: called with what is asked and what was found.

    Raises:
        EngineError: it cannot; says why.
        Interrupted: `stop` was set.
    """
    wanted = left(study, folder)
    if not wanted:
        return
    slots = slots[: len(wanted)]
    check_slots(study, slots)
    if _is_proven(study, folder, slots):
        return
    try:
        seconds = trial_seconds(study, wanted, slots, note, stop)
    except EngineError as error:
        raise EngineError(
            f"{error}; choose another --engine or --gpu, or change gpu in the study's [solver] or "
            "its batch"
        ) from error
    own = study.seconds_per_iteration
    by_study = ""
    if own is not None:
        total = own * sum(each.iterations for each in wanted) / len(slots)
        by_study = f", {duration(total)} at the study's own pace"
    note(
        f"time: at most {duration(sum(seconds.values()) / len(slots))} for {len(wanted)} networks, "
        f"by this trial{by_study}"
    )


def trial_seconds(
    study: Study,
    wanted: Sequence[Left],
    slots: Sequence[Settings],
    note: Callable[[str], None],
    stop: threading.Event,
) -> dict[str, float]:
    """Seconds that each network takes at most, by a trial of a few iterations in all slots at once.

    Args:
        wanted: one network at least.
        slots: as `local.slots` returns them, at most one for each network.
        note: called with what is tried.

    Raises:
        EngineError: the engine cannot train the study's networks; says why.
        Interrupted: `stop` was set.
    """
    # A network that learns in all its layers takes most memory and time.
    network = min((each.network for each in wanted), key=lambda network: network.frozen_count)
    note(
        f"trying {slots[0].engine.name}: {network.name}, batches of {study.batch}{_devices(slots)}"
    )
    paces = try_training(study, network, slots, _is_enough, stop)
    slowest = max(paces, key=lambda pace: pace.iteration)
    return {each.network.name: _seconds(each, study, slowest) for each in wanted}


def _is_proven(study: Study, folder: RunFolder, slots: Sequence[Settings]) -> bool:
    """Whether a network of the run was trained to its end as each slot will train."""
    manifests_here = [manifest_of(folder.network(network.name)) for network in study.networks]
    used = [(each["engine"], each["gpu"]) for each in manifests_here if each.get("finished")]
    if not used:
        return False
    version = slots[0].engine.version()
    return all(({"name": slot.engine.name, "version": version}, slot.gpu) in used for slot in slots)


def _is_enough(seconds: float, iteration: int) -> bool:
    return iteration >= (1 if seconds >= TRIAL_SECONDS else TRIAL_ITERATIONS)


def _devices(slots: Sequence[Settings]) -> str:
    gpus = dict.fromkeys(slot.gpu for slot in slots if slot.gpu is not None)
    at_once = f", {len(slots)} at once" if len(slots) > 1 else ""
    return f" on GPU {', '.join(gpus)}{at_once}" if gpus else at_once


def _seconds(left: Left, study: Study, pace: Pace) -> float:
    """The time of a network's training, tests included."""
    solver = study.solver_of(left.network)
    tests = left.iterations // solver.test_interval + 1
    # The first test is slow while memory is allocated; no test takes longer than training on as
    # many images.
    batch = min(pace.test_batch, pace.iteration * study.test_batch / study.batch)
    return pace.start + left.iterations * pace.iteration + tests * solver.test_iter * batch
