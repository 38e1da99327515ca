"""`run`: a study from images to report."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from caffe_transfer import pipeline
from caffe_transfer.cli.attach import attach
from caffe_transfer.cli.cluster_options import (
    ClusterOptions,
    detach_option,
    on_option,
    scheduler_option,
)
from caffe_transfer.cli.engine_options import EngineOptions, engine_option, precision_option
from caffe_transfer.cli.options import SIZE, grouped
from caffe_transfer.cli.plan import print_jobs, print_plan
from caffe_transfer.cli.run_log import RunLog
from caffe_transfer.cli.show import Screen
from caffe_transfer.cli.stopping import stop_on_signal
from caffe_transfer.data_prep.listings import listed_once
from caffe_transfer.errors import STOPPED, BadInput, EngineError, Interrupted
from caffe_transfer.lock import is_held
from caffe_transfer.paths import STUDY_SUFFIX, RunFolder, default_run
from caffe_transfer.run_options import Callbacks, RunOptions
from caffe_transfer.studies.changes import conflicts
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.study import Study
from caffe_transfer.training.executor import JobResult, Outcome
from caffe_transfer.training.remaining import left
from caffe_transfer.training.schedule import RETRIES

FOLDER = click.Path(path_type=Path)
_NAMED = 3  # of the failed networks, in the last line


@click.command("run")
@click.argument("study", metavar="STUDY")
@click.option(
    "--out",
    type=FOLDER,
    help="Folder of the run.  [default: beside a TOML file, named like it without .toml; for a "
    "built-in study its name, here]",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Networks to train at once.  [default: one a device of --gpu, else 1]",
)
@click.option("--from", "given", type=FOLDER, help="Folder or archive that holds the images.")
@engine_option
@precision_option
@click.option("--gpu", help="Devices to share among the jobs: 0,1,2,3.")
@click.option(
    "--threads", type=click.IntRange(1), help="BLAS threads per job.  [default: cores / jobs]"
)
@click.option(
    "--disk",
    type=SIZE,
    help="Most that databases may take at once, such as 800GB; snapshots come on top.  For Caffe, "
    "parts of the whole become databases when networks need them, and are removed after the last.",
)
@click.option(
    "--retries",
    type=click.IntRange(0),
    default=RETRIES,
    help="Times that a network which fails by itself is tried again, from its newest snapshot.",
)
@on_option
@scheduler_option
@detach_option
@click.option("--quick", is_flag=True, help="Run the study's quick form.")
@click.option("--prepare", is_flag=True, help="Make images, databases and networks' folders only.")
@click.option("--dry-run", is_flag=True, help="Print networks, order and cost, and do nothing.")
@click.option(
    "--json", "as_json", is_flag=True, help="With --dry-run: the plan for any scheduler, as JSON."
)
@click.option(
    "--trial", is_flag=True, help="With --dry-run: time this machine by a few iterations on noise."
)
@grouped(EngineOptions, "options")
@grouped(ClusterOptions, "where")
@listed_once()
def run_command(
    study: str,
    out: Path | None,
    jobs: int | None,
    given: Path | None,
    options: EngineOptions,
    where: ClusterOptions,
    disk: int | None,
    retries: int,
    quick: bool,
    prepare: bool,
    dry_run: bool,
    as_json: bool,
    trial: bool,
) -> None:
    """Run a study from images to report; run it again to resume.

    STUDY is a built-in study (fashion-mnist, tiny-imagenet, paper) or a TOML file.

    First it asks: are the images there, is there space on the disk, and can the engine train a
    batch on the device? Ctrl-C stops it at any point, and loses nothing that is whole.

    Where another run works in the folder, its progress is shown until it ends; Ctrl-C leaves it.

    \b
    Example:
      caffe-transfer run fashion-mnist --out demo --jobs 2
    Example: into the folder mine/
      caffe-transfer run mine.toml
    Example: databases today, on a machine without a GPU
      caffe-transfer run mine.toml --prepare
    Example: on a cluster's partition gpu, a day for each job
      caffe-transfer run mine.toml --on slurm --scheduler-option partition=gpu
      --scheduler-option time=24:00:00
    """
    if (trial or as_json) and not dry_run:
        option = "--json" if as_json else "--trial"
        raise click.UsageError(f"{option} is for --dry-run; add it, or leave {option} out.")
    chosen = load_study(study, quick)
    at_once = jobs or len(options.gpus) or 1
    if dry_run:
        root = RunFolder(out or default_run(study))
        if as_json:
            _refuse_local(options, disk)
            words = _prepare_arguments(study, root, given, options, quick)
            print_jobs(chosen, root, options, prepare=words, trial=trial)
        else:
            print_plan(chosen, root, options, at_once, disk=disk, trial=trial)
        return
    out = out or pipeline.default_folder(study)
    _check_form(study, chosen, quick, out)
    if not (prepare or where.detach) and is_held(RunFolder(out).lock):
        attach(chosen, out)
        return
    cluster = where.cluster(options, jobs)
    wanted = RunOptions(
        settings=None if prepare or cluster else options.settings(at_once),
        cluster=cluster,
        jobs=at_once,
        gpus=options.gpus,
        images_from=given,
        disk=disk,
        retries=retries,
    )
    log = RunLog()
    count = len(chosen.networks)
    with stop_on_signal(patient=False) as stop, Screen(count, stop, log) as screen:

        def prepared() -> None:
            stop.be_patient()
            networks = left(chosen, RunFolder(out))
            screen.expect({each.network.name: each.iterations for each in networks})

        callbacks = Callbacks(
            begun=lambda: log.begin(RunFolder(out).log), step=screen.step, note=screen.say,
            warn=screen.say, prepared=prepared, trained=stop.be_impatient, network=screen.network,
            ended=screen.ended, failed=screen.failed,
        )  # fmt: skip
        if prepare:
            pipeline.prepare_run(
                chosen, out, images_from=given, reads_views=options.reads_views, disk=disk,
                callbacks=callbacks, stop=stop,
            )  # fmt: skip
            screen.say(f"{out} is prepared; run the same command without --prepare to train")
            return
        if where.detach:
            names = pipeline.submit(chosen, out, options=wanted, callbacks=callbacks, stop=stop)
            screen.say(
                f"{len(names)} networks are submitted to {where.on}; caffe-transfer status "
                f"{shlex.quote(str(out))} shows how far they are"
            )
            return
        screen.say(_engine(wanted))
        results = pipeline.run(chosen, out, options=wanted, callbacks=callbacks, stop=stop)
    if stop.is_set():
        done = sum(result.outcome is Outcome.DONE for result in results)
        raise Interrupted(f"{done} of {len(results)} networks are trained; {STOPPED}")
    click.echo(_summary(results, out), err=True)
    if failure := _failure(results, out):
        raise EngineError(failure)


def _refuse_local(options: EngineOptions, disk: int | None) -> None:
    """Refuse what a plan for schedulers cannot hold."""
    for option, value in (("--gpu", options.gpu), ("--disk", disk)):
        if value is not None:
            raise click.UsageError(
                f"{option} is for runs on one machine; leave it out with --json, whose networks "
                "any scheduler may train."
            )


def _prepare_arguments(
    study: str, folder: RunFolder, given: Path | None, options: EngineOptions, quick: bool
) -> list[str]:
    """The arguments that prepare the same run, from any working folder."""
    file = Path(study)
    named = str(file.absolute()) if file.suffix == STUDY_SUFFIX else study
    return [
        "run", named, "--out", str(folder.root.absolute()), "--prepare",
        *(["--quick"] if quick else []),
        *(["--from", str(given.absolute())] if given else []),
        *(["--engine", options.engine] if options.engine else []),
    ]  # fmt: skip


def _engine(options: RunOptions) -> str:
    """One sentence on what trains the networks."""
    if options.cluster is not None:
        return f"training on {options.cluster.on}"
    assert options.settings is not None
    return f"training with {options.settings.engine.name}: {options.settings.engine.program}"


def _check_form(study: str, chosen: Study, quick: bool, out: Path) -> None:
    """Refuse a study in full where its quick form was begun, and the other way round.

    Raises:
        BadInput: it is so; names the option.
    """
    file = RunFolder(out).study
    if not file.is_file():
        return
    kept = load_study(str(file))
    if not conflicts(kept, chosen):
        return
    try:
        other = load_study(study, not quick)
    except BadInput:  # it has no quick form
        return
    if not conflicts(kept, other):
        begun = "without" if quick else "with"
        raise BadInput(
            f"{out} holds a run that was begun {begun} --quick; go on {begun} it, or name another "
            "folder with --out"
        )


def _summary(results: Sequence[JobResult], out: Path) -> str:
    """How many networks are trained, and where the results are."""
    done = sum(result.outcome is Outcome.DONE for result in results)
    all_done = done == len(results)
    report = RunFolder(out).report
    what = "results, tables and figures" if all_done else "what there is of results so far"
    where = f"; {what}: {report}" if report.is_dir() else ""
    return f"{done} of {len(results)} networks are trained{where}"


def _failure(results: Sequence[JobResult], out: Path) -> str | None:
    """One sentence on networks that are not trained; None if all are."""
    failed = [result.name for result in results if result.outcome is Outcome.FAILED]
    skipped = sum(result.outcome is Outcome.SKIPPED for result in results)
    if not failed and not skipped:
        return None
    more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    lacking = f", {skipped} lack their base" if skipped else ""
    return (
        f"{len(failed) + skipped} of {len(results)} networks are not trained: "
        f"{', '.join(failed[:_NAMED])}{more} failed{lacking}; caffe-transfer status "
        f"{shlex.quote(str(out))} says why, and the same command goes on when it is mended"
    )
