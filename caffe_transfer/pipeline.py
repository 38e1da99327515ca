"""A whole study, from images to report: run again, it does only what is missing."""

import math
import threading
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from caffe_transfer.data_prep import prepare as images
from caffe_transfer.data_prep.progress import OnStep
from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_text
from caffe_transfer.nets.render import parsed_net, render
from caffe_transfer.nets.shapes import parameter_shapes
from caffe_transfer.nets.write import write_network
from caffe_transfer.paths import RunFolder
from caffe_transfer.report.make import make_report
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study
from caffe_transfer.training import schedule
from caffe_transfer.training.lock import locked
from caffe_transfer.training.schedule import JobResult
from caffe_transfer.training.train import OnProgress, Settings

FLOAT_BYTES = 4


@dataclass(frozen=True)
class Estimate:
    """What a run costs; None where it is not known beforehand.

    Attributes:
        data_bytes: of the databases.
        snapshot_bytes: of all networks' snapshots, weights and momentum.
        seconds: one network at a time, at the pace that the study's file gives.
    """

    data_bytes: int | None
    snapshot_bytes: int
    seconds: float | None


@dataclass(frozen=True)
class Callbacks:
    """Who hears of what a run does.

    Attributes:
        step: a step of preparing images.
        warn: something that the user should know, one sentence.
        network: a network's training, a few times a second, from several threads.
        ended: a network's end.
    """

    step: OnStep
    warn: Callable[[str], None]
    network: OnProgress
    ended: Callable[[JobResult], None]


def estimate(study: Study) -> Estimate:
    """What a run of the study costs in disk and time."""
    pace = study.seconds_per_iteration
    iterations = sum(study.solver_of(network).max_iter for network in study.networks)
    return Estimate(
        data_bytes=images.disk_estimate(study),
        snapshot_bytes=sum(_snapshot_bytes(study, network) for network in study.networks),
        seconds=None if pace is None else iterations * pace,
    )


def _snapshot_bytes(study: Study, network: Network) -> int:
    solver = study.solver_of(network)
    side = study.images.crop or study.images.size
    files = render(network, study)
    net = parsed_net(files)
    shapes = parameter_shapes(net, (study.images.channels, side, side))
    values = sum(math.prod(shape) for layer in shapes.values() for shape in layer)
    count = math.ceil(solver.max_iter / solver.snapshot)
    return 2 * FLOAT_BYTES * values * count


def run(
    study: Study,
    source: Path,
    root: Path,
    settings: Settings,
    jobs: int,
    callbacks: Callbacks,
    stop: threading.Event,
    given: Path | None = None,
    gpus: Sequence[str] = (),
) -> list[JobResult]:
    """Fetch images, write networks, train them, report.

    Args:
        source: the study's file; a copy is kept in the run's folder.
        given: the images' folder or archive, where they are not to be fetched.

    Returns:
        how each network ended.

    Raises:
        Busy: another run works in `root`.
        BadInput: `root` holds a run of another study, or the images cannot be used.
    """
    folder = RunFolder(root)
    needs = schedule.graph(study.networks)
    with locked(folder.lock):
        _keep_study(source, folder.study)
        for image in images.prepare(study, folder, given, callbacks.step):
            callbacks.warn(f"{image} is broken and was left out")
        for network in study.networks:
            write_network(network, study, folder.results)
        results = schedule.run_all(
            folder.results, needs, settings, jobs=jobs, gpus=gpus, report=callbacks.network,
            ended=callbacks.ended, stop=stop,
        )  # fmt: skip
        if not stop.is_set():
            make_report(folder.results, folder.report)
    return results


def _keep_study(source: Path, kept: Path) -> None:
    text = source.read_text()
    if not kept.is_file():
        atomic_text(kept, text)
    elif tomllib.loads(kept.read_text()) != tomllib.loads(text):
        raise BadInput(
            f"{kept.parent} holds a run of another study than {source}, see {kept}; name another "
            "--out"
        )
