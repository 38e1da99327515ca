"""A whole study, from images to report: run again, it does only what is missing."""

import threading
from pathlib import Path

from caffe_transfer import paths, questions
from caffe_transfer.cost import snapshot_bytes
from caffe_transfer.data_prep.listings import listed_once
from caffe_transfer.data_prep.progress import stoppable
from caffe_transfer.errors import BadInput
from caffe_transfer.lock import locked
from caffe_transfer.paths import RunFolder
from caffe_transfer.preparation import check_images_and_disk, keep_study, plan_run, prepare_plan
from caffe_transfer.report.make import make_report
from caffe_transfer.run_options import Callbacks, RunOptions
from caffe_transfer.studies.study import Study
from caffe_transfer.training import schedule
from caffe_transfer.training.executor import (
    Cluster,
    Executor,
    JobResult,
    Outcome,
    executor_for,
)
from caffe_transfer.training.followed import FollowedExecutor
from caffe_transfer.training.local import LocalExecutor
from caffe_transfer.training.remaining import left
from caffe_transfer.training.storage import Storage, takes_views


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
        own = {name for name in names if paths.is_of_lock(name)} | {folder.log.name}
        if not folder.study.is_file() and names - own:
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
    storage = _storage(study, options)
    with locked(folder.lock):
        turns = _ready_to_train(study, folder, options, storage, callbacks, stop)
        needs, results = _left_to_train(study, folder, options)
        for result in results:
            callbacks.ended(result)
        executor = _executor(folder, options, turns, callbacks, stop)
        results += schedule.run_all(
            needs,
            executor,
            ended=callbacks.ended,
            stop=stop,
            turns=turns,
            retries=schedule.Retries(options.retries, callbacks.failed),
        )
        callbacks.trained()
        if not stop.is_set():
            progress = stoppable(callbacks.step, stop)
            report = make_report(
                folder.results,
                folder.report,
                progress=lambda done, total, _: progress("reading logs", done, total),
            )
            for problem in report.problems:
                callbacks.warn(problem)
    by_name = {result.name: result for result in results}
    return [by_name[network.name] for network in study.networks]


@listed_once()
def submit(
    study: Study,
    root: Path,
    *,
    options: RunOptions,
    callbacks: Callbacks | None = None,
    stop: threading.Event | None = None,
) -> list[str]:
    """Do what `run` does before the first training, and leave the networks to a cluster.

    Args:
        options: with a cluster whose scheduler lets jobs wait for others.

    Returns:
        the names of the networks that are submitted.

    Raises:
        Busy, BadInput, Interrupted: as `run` does.
        CaffeTransferError: the scheduler refuses a network.
    """
    folder, callbacks = RunFolder(root), callbacks or Callbacks()
    stop = stop or threading.Event()
    storage = _storage(study, options)
    with locked(folder.lock):
        turns = _ready_to_train(study, folder, options, storage, callbacks, stop, is_left=True)
        needs, _ = _left_to_train(study, folder, options)
        executor = _executor(folder, options, turns, callbacks, stop)
        return schedule.submit_all(needs, executor)


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
    folder, callbacks = RunFolder(root), callbacks or Callbacks()
    stop = stop or threading.Event()
    schedule.graph(study)
    storage = Storage(takes_views(study, reads_views), disk)
    with locked(folder.lock):
        plan = plan_run(study, folder)
        callbacks.begun()
        check_images_and_disk(study, folder, images_from, storage, snapshots=0)
        prepare_plan(plan, folder, images_from, callbacks.step, callbacks.warn, stop, storage)


def _storage(study: Study, options: RunOptions) -> Storage:
    """How the databases are stored; refuses what does not go together before a folder is made.

    Raises:
        BadInput: a base is not among the networks, or the engine or the cluster cannot have the
            databases as they are wanted.
    """
    schedule.graph(study)
    if options.cluster is not None and options.disk is not None:
        raise BadInput(
            "--disk makes databases in turns, which only one machine can do; leave it out with "
            f"--on {options.cluster.on}"
        )
    return Storage(takes_views(study, options.reads_views), options.disk)


def _ready_to_train(
    study: Study,
    folder: RunFolder,
    options: RunOptions,
    storage: Storage,
    callbacks: Callbacks,
    stop: threading.Event,
    *,
    is_left: bool = False,
) -> schedule.Turns:
    """Ask what can be known beforehand, and make all that the first training needs.

    Args:
        is_left: the networks are left to a cluster.

    Returns:
        the turns of the networks.
    """
    plan = plan_run(study, folder)
    callbacks.begun()
    snapshots = snapshot_bytes(study, plan.rendered, options.jobs)
    check_images_and_disk(study, folder, options.images_from, storage, snapshots)
    if options.cluster is None:
        questions.check_engine(study, folder, options.slots, callbacks.note, stop)
    else:
        keep_study(plan, folder)
        _check_cluster(options.cluster, folder, is_left=is_left)
    turns = prepare_plan(
        plan, folder, options.images_from, callbacks.step, callbacks.warn, stop, storage
    )
    callbacks.prepared()
    return turns


def _check_cluster(cluster: Cluster, folder: RunFolder, *, is_left: bool) -> None:
    """Ask whether the cluster can be used, before hours of preparing for it.

    Raises:
        CaffeTransferError: it cannot.
    """
    executor = executor_for(cluster.on, folder, cluster.options)
    executor.close()
    if is_left and not executor.waits_for_bases:
        raise BadInput(
            f"{cluster.on} does not let jobs wait for others, so that this command must stay to "
            "the end; leave out --detach"
        )


def _left_to_train(
    study: Study, folder: RunFolder, options: RunOptions
) -> tuple[dict[str, tuple[str, ...]], list[JobResult]]:
    """What each network needs that is to be trained, and the results of the others.

    On this machine all are: what is trained already costs no job, and is verified.
    """
    needs = schedule.graph(study)
    if options.cluster is None:
        return needs, []
    wanted = {each.network.name for each in left(study, folder)}
    done = [JobResult(name, Outcome.DONE) for name in needs if name not in wanted]
    return {
        name: tuple(base for base in needs[name] if base in wanted)
        for name in needs
        if name in wanted
    }, done


def _executor(
    folder: RunFolder,
    options: RunOptions,
    turns: schedule.Turns,
    callbacks: Callbacks,
    stop: threading.Event,
) -> Executor:
    """Where the networks are trained.

    Raises:
        BadInput: the cluster cannot be used.
    """
    if options.cluster is None:
        return LocalExecutor(
            folder.results, options.slots, callbacks.network, stop, turns.make, callbacks.warn
        )
    executor = executor_for(options.cluster.on, folder, options.cluster.options)
    return FollowedExecutor(executor, folder, callbacks.network)
