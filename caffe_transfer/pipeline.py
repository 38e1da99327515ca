"""A whole study, from images to report: run again, it does only what is missing."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from caffe_transfer import paths, questions
from caffe_transfer.cost import Estimate, image_bytes, snapshot_bytes
from caffe_transfer.data_prep.listings import listed_once
from caffe_transfer.data_prep.prepare import prepare, validation_warnings
from caffe_transfer.data_prep.progress import OnStep, silent, stoppable
from caffe_transfer.data_prep.sources import check_source
from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_text
from caffe_transfer.lock import locked
from caffe_transfer.nets.render import render, torn_paths
from caffe_transfer.nets.write import write_files
from caffe_transfer.paths import RunFolder
from caffe_transfer.report.make import make_report
from caffe_transfer.studies.changes import conflicts
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study
from caffe_transfer.studies.write import study_text
from caffe_transfer.training import schedule
from caffe_transfer.training.given import Given, check_given, write_given_bases
from caffe_transfer.training.schedule import JobResult
from caffe_transfer.training.storage import Storage, takes_views
from caffe_transfer.training.train import OnProgress, Settings, TrainingProgress


def _ignore() -> None:
    pass


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
        note: one sentence on what is done before training, or was found.
        warn: one sentence that the user should know.
        prepared: called before the first training, when all that it needs is there.
        trained: called after the last training, before the report is made.
        network: progress of a network's training, a few times a second, from several threads.
        ended: result of a network's job.
    """

    step: OnStep = silent
    note: Callable[[str], None] = _ignore_message
    warn: Callable[[str], None] = _ignore_message
    prepared: Callable[[], None] = _ignore
    trained: Callable[[], None] = _ignore
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
        disk: the most bytes of databases at any moment; None for all that the study needs.
    """

    settings: Settings
    jobs: int = 1
    gpus: Sequence[str] = ()
    images_from: Path | None = None
    disk: int | None = None


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


@listed_once()
def run(
    study: Study,
    root: Path,
    *,
    options: RunOptions,
    callbacks: Callbacks | None = None,
    stop: threading.Event | None = None,
) -> list[JobResult]:
    """Ask what can be known beforehand, fetch images, write networks, train them, report.

    A run in a folder that holds an earlier one continues it: databases and networks that are
    there stay, and the study may have gained or lost networks since.

    Args:
        root: the run's folder.
        stop: set it to end: the engines write snapshots, and what is prepared stays.

    Returns:
        the result of each network's job, in the study's order.

    Raises:
        Busy: another run works in `root`.
        BadInput: `root` holds a run that the study cannot continue, the images cannot be used, or
            the disk or the limit of the databases is too small.
        EngineError: the engine cannot train the study's networks.
        Interrupted: `stop` was set before the first training.
    """
    folder, callbacks = RunFolder(root), callbacks or Callbacks()
    stop = stop or threading.Event()
    needs = schedule.graph(study)
    storage = Storage(takes_views(study, options.settings.engine.reads_views), options.disk)
    with locked(folder.lock):
        plan = _plan(study, folder)
        snapshots = snapshot_bytes(study, plan.rendered, options.jobs)
        _check_images_and_disk(study, folder, options.images_from, storage, snapshots)
        slots = schedule.slots(options.settings, options.jobs, options.gpus)
        questions.check_engine(study, folder, slots, callbacks.note, stop)
        turns = _prepare(plan, folder, options.images_from, callbacks, stop, storage)
        callbacks.prepared()
        results = schedule.run_all(
            folder.results,
            needs,
            options.settings,
            jobs=options.jobs,
            gpus=options.gpus,
            report=callbacks.network,
            ended=callbacks.ended,
            stop=stop,
            turns=turns,
        )
        callbacks.trained()
        if not stop.is_set():
            progress = stoppable(callbacks.step, stop)
            make_report(
                folder.results,
                folder.report,
                progress=lambda done, total, _: progress("reading logs", done, total),
            )
    return results


@listed_once()
def prepare_run(
    study: Study,
    root: Path,
    *,
    images_from: Path | None = None,
    reads_views: bool = True,
    disk: int | None = None,
    callbacks: Callbacks | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Do what `run` does before the first training, without an engine; `run` goes on from there.

    Args:
        root: the run's folder.
        images_from: the images' folder or archive; None to fetch them.
        reads_views: the engine to come reads views; for one that does not, `run` replaces them.
        disk: the most bytes of databases at any moment; if they take more, `run` makes those that
            it can remove.
        stop: set it to end; what is prepared stays.

    Raises:
        Busy, BadInput, Interrupted: as `run` does.
    """
    folder = RunFolder(root)
    schedule.graph(study)
    storage = Storage(takes_views(study, reads_views), disk)
    with locked(folder.lock):
        plan = _plan(study, folder)
        _check_images_and_disk(study, folder, images_from, storage, snapshots=0)
        _prepare(
            plan, folder, images_from, callbacks or Callbacks(), stop or threading.Event(), storage
        )


@dataclass(frozen=True)
class _Plan:
    """A study that fits, before anything is made of it.

    Attributes:
        is_new: the run's folder does not hold exactly this study yet.
    """

    study: Study
    is_new: bool
    rendered: Mapping[Network, Mapping[str, str]]
    given: Mapping[Network, Given]


def _plan(study: Study, folder: RunFolder) -> _Plan:
    """Refuse what does not fit.

    Raises:
        Incomplete, BadInput: as `run` does.
    """
    kept = _continued(study, folder)
    check_source(study.images.source)
    rendered = {network: render(network, study) for network in study.networks}
    return _Plan(study, kept != study, rendered, check_given(study))


def _check_images_and_disk(
    study: Study, folder: RunFolder, images_from: Path | None, storage: Storage, snapshots: int
) -> None:
    """Ask whether the images are there, and whether the disk has space for what is made of them.

    Args:
        snapshots: bytes that the networks will take.

    Raises:
        Incomplete, BadInput: as `run` does.
    """
    cost = Estimate(
        data_bytes=storage.estimate(study, folder),
        snapshot_bytes=snapshots,
        seconds=None,
        image_bytes=image_bytes(study),
    )
    questions.check_images(study, folder, images_from)
    questions.check_disk(cost, folder)


def _prepare(
    plan: _Plan,
    folder: RunFolder,
    images_from: Path | None,
    callbacks: Callbacks,
    stop: threading.Event,
    storage: Storage,
) -> schedule.Turns:
    """Make what is missing of images, databases and networks' folders.

    Returns:
        the turns of the networks, in which databases are made that have no room together.
    """
    study = plan.study
    if plan.is_new:
        atomic_text(folder.study, study_text(study))
    left_out = prepare(
        study, folder, images_from, callbacks.step, stop=stop, views=storage.begins_with_views
    )
    turns = storage.turns(study, folder, callbacks.step, stop)
    for warning in [*torn_paths(study), *left_out, *validation_warnings(study, folder.data)]:
        callbacks.warn(warning)
    write_given_bases(plan.given, folder.results)
    for network, files in plan.rendered.items():
        write_files(network, files, folder.results)
    return turns


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
