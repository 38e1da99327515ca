"""A whole study, from images to report: run again, it does only what is missing."""

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from caffe_transfer import paths
from caffe_transfer.data_prep.prepare import disk_estimate, prepare, validation_warnings
from caffe_transfer.data_prep.progress import OnStep, silent
from caffe_transfer.data_prep.sources import check_source
from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_text
from caffe_transfer.nets.render import parsed_net, render, torn_paths
from caffe_transfer.nets.shapes import parameter_shapes
from caffe_transfer.nets.sources import source_of
from caffe_transfer.nets.write import write_files
from caffe_transfer.paths import RunFolder
from caffe_transfer.report.make import make_report
from caffe_transfer.studies.changes import conflicts
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study
from caffe_transfer.studies.write import study_text
from caffe_transfer.training import schedule
from caffe_transfer.training.given import check_given, write_given_bases
from caffe_transfer.training.lock import locked
from caffe_transfer.training.schedule import JobResult
from caffe_transfer.training.train import OnProgress, Settings, TrainingProgress

FLOAT_BYTES = 4


@dataclass(frozen=True)
class Estimate:
    """The cost of a run; None where it is not known beforehand.

    Attributes:
        data_bytes: size of the databases.
        snapshot_bytes: size of all networks' snapshots, weights and momentum.
        seconds: training one network at a time, at the pace that the study's file gives.
    """

    data_bytes: int | None
    snapshot_bytes: int
    seconds: float | None


def _ignore_message(message: str) -> None:
    pass


def _ignore_progress(progress: TrainingProgress) -> None:
    pass


def _ignore_result(result: JobResult) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Callbacks:
    """Progress callbacks of a run; each does nothing by default.

    Attributes:
        step: progress in preparing images: step, count done, total.
        warn: one sentence that the user should know.
        network: progress of a network's training, a few times a second, from several threads.
        ended: result of a network's job.
    """

    step: OnStep = silent
    warn: Callable[[str], None] = _ignore_message
    network: OnProgress = _ignore_progress
    ended: Callable[[JobResult], None] = _ignore_result


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a study is run, whatever the study.

    Attributes:
        settings: how each network is trained.
        jobs: networks trained at once.
        gpus: devices to share among the jobs; () leaves them to the solver.
        images_from: the images' folder or archive; None to fetch them.
    """

    settings: Settings
    jobs: int = 1
    gpus: Sequence[str] = ()
    images_from: Path | None = None


def default_folder(study: str) -> Path:
    """The folder of a study's run where the user names none, which holds a run already or nothing.

    Args:
        study: a built-in study's name, or a study's file.

    Raises:
        BadInput: it holds something else.
    """
    root = paths.default_run(study)
    folder = RunFolder(root)
    if root.is_symlink() or root.exists():
        names = {each.name for each in root.iterdir()} if root.is_dir() else {root.name}
        if not folder.study.is_file() and names - {folder.lock.name}:
            raise BadInput(f"{root} is there and holds no run; name the run's folder with --out")
    return root


def estimate(study: Study) -> Estimate:
    """Disk space and time that a run of the study takes.

    Raises:
        Incomplete, FormatError: a given model is missing, or is none.
        BadInput: its source does not exist, or a network or a given model does not fit its net.
    """
    check_source(study.images.source)
    check_given(study)
    pace = study.seconds_per_iteration
    iterations = sum(study.solver_of(network).max_iter for network in study.networks)
    return Estimate(
        data_bytes=disk_estimate(study),
        snapshot_bytes=sum(_snapshot_bytes(study, network) for network in study.networks),
        seconds=None if pace is None else iterations * pace,
    )


def _snapshot_bytes(study: Study, network: Network) -> int:
    solver = study.solver_of(network)
    net = parsed_net(render(network, study))
    shapes = parameter_shapes(net, source_of(study).input_shape)
    values = sum(math.prod(shape) for layer in shapes.values() for shape in layer)
    count = math.ceil(solver.max_iter / solver.snapshot)
    return 2 * FLOAT_BYTES * values * count


def run(
    study: Study,
    root: Path,
    *,
    options: RunOptions,
    callbacks: Callbacks | None = None,
    stop: threading.Event | None = None,
) -> list[JobResult]:
    """Fetch images, write networks, train them, report.

    A run in a folder that holds an earlier one continues it: databases and networks that are
    there stay, and the study may have gained or lost networks since.

    Args:
        root: the run's folder.
        stop: set it to make the engines write snapshots and end.

    Returns:
        the result of each network's job, in the study's order.

    Raises:
        Busy: another run works in `root`.
        BadInput: `root` holds a run that the study cannot continue, or the images cannot be used.
    """
    folder, callbacks = RunFolder(root), callbacks or Callbacks()
    stop = stop or threading.Event()
    needs = schedule.graph(study)
    with locked(folder.lock):
        kept = _continued(study, folder)
        check_source(study.images.source)
        # What does not fit is named before anything is made.
        rendered = {network: render(network, study) for network in study.networks}
        given = check_given(study)
        if kept != study:
            atomic_text(folder.study, study_text(study))
        left_out = prepare(study, folder, options.images_from, callbacks.step)
        for warning in [*torn_paths(study), *left_out, *validation_warnings(study, folder.data)]:
            callbacks.warn(warning)
        write_given_bases(given, folder.results)
        for network, files in rendered.items():
            write_files(network, files, folder.results)
        results = schedule.run_all(
            folder.results,
            needs,
            options.settings,
            jobs=options.jobs,
            gpus=options.gpus,
            report=callbacks.network,
            ended=callbacks.ended,
            stop=stop,
        )
        if not stop.is_set():
            make_report(folder.results, folder.report)
    return results


def _continued(study: Study, folder: RunFolder) -> Study | None:
    """The study, with --quick or without, of the run that the folder holds; None if it is new.

    Raises:
        BadInput: `study` cannot continue that run.
    """
    if not folder.study.is_file():
        return None
    kept = load_study(str(folder.study))
    if found := conflicts(kept, study):
        raise BadInput(
            f"{folder.root} holds a run of study {kept.name!r} with other settings: "
            f"{', '.join(map(str, found))}; name another --out"
        )
    return kept
