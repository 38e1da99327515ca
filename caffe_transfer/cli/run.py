"""`run`: a study from images to report."""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from caffe_transfer import pipeline
from caffe_transfer.cli.engine_options import EngineOptions, engine_option, precision_option
from caffe_transfer.cli.options import SIZE, grouped
from caffe_transfer.cli.show import Screen
from caffe_transfer.cli.stopping import stop_on_signal
from caffe_transfer.cost import Estimate, estimate
from caffe_transfer.data_prep.disk import disk_estimate
from caffe_transfer.errors import EngineError, Interrupted
from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.study import LMDB, VIEW, Study
from caffe_transfer.training import schedule
from caffe_transfer.training.disk_plan import DiskPlan
from caffe_transfer.training.schedule import JobResult, Outcome
from caffe_transfer.training.storage import plan_within
from caffe_transfer.units import duration, size

FOLDER = click.Path(path_type=Path)


@click.command("run")
@click.argument("study", metavar="STUDY")
@click.option(
    "--out",
    type=FOLDER,
    help="Folder of the run.  [default: beside a TOML file, named like it without .toml; for a "
    "built-in study its name, here]",
)
@click.option("--jobs", type=click.IntRange(1), default=1, help="Networks to train at once.")
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
@click.option("--quick", is_flag=True, help="Run the study's quick form.")
@click.option("--prepare", is_flag=True, help="Make images, databases and networks' folders only.")
@click.option("--dry-run", is_flag=True, help="Print networks, order and cost, and do nothing.")
@grouped(EngineOptions, "options")
def run_command(
    study: str,
    out: Path | None,
    jobs: int,
    given: Path | None,
    options: EngineOptions,
    disk: int | None,
    quick: bool,
    prepare: bool,
    dry_run: bool,
) -> None:
    """Run a study from images to report; run it again to resume.

    STUDY is a built-in study (fashion-mnist, tiny-imagenet, paper) or a TOML file.

    First it asks: are the images there, is there space on the disk, and can the engine train a
    batch on the device? Ctrl-C stops it at any point, and loses nothing that is whole.

    \b
    Example:
      caffe-transfer run fashion-mnist --out demo --jobs 2
    Example: into the folder mine/
      caffe-transfer run mine.toml
    Example: databases today, on a machine without a GPU
      caffe-transfer run mine.toml --prepare
    """
    chosen = load_study(study, quick)
    if dry_run:
        bounded = None if disk is None else plan_within(chosen, disk, options.reads_views)
        order = bounded.order if bounded else schedule.order(chosen)
        _print_plan(chosen, order, estimate(chosen, jobs), jobs)
        if disk is not None:
            Console(highlight=False).print(_within(disk, bounded), soft_wrap=True)
        return
    out = out or pipeline.default_folder(study)
    settings = None if prepare else options.settings(jobs)
    with stop_on_signal(patient=False) as stop, Screen(total=len(chosen.networks)) as screen:
        callbacks = pipeline.Callbacks(
            step=screen.step, note=screen.say, warn=screen.say,
            prepared=stop.be_patient, network=screen.network, ended=screen.ended,
        )  # fmt: skip
        if settings is None:
            pipeline.prepare_run(
                chosen, out, images_from=given, reads_views=options.reads_views, disk=disk,
                callbacks=callbacks, stop=stop,
            )  # fmt: skip
            screen.say(f"{out} is prepared; run the same command without --prepare to train")
            return
        screen.say(f"training with {settings.engine.name}: {settings.engine.program}")
        results = pipeline.run(
            chosen,
            out,
            options=pipeline.RunOptions(
                settings=settings,
                jobs=jobs,
                gpus=options.gpu.split(",") if options.gpu else (),
                images_from=given,
                disk=disk,
            ),
            callbacks=callbacks,
            stop=stop,
        )
    _print_ended(results, out)
    if stop.is_set():
        raise Interrupted("stopped; run the same command again to go on")
    failed = [result for result in results if result.outcome is not Outcome.DONE]
    if failed:
        raise EngineError(f"{len(failed)} of {len(results)} networks are not trained, see above")


def _print_ended(results: Sequence[JobResult], out: Path) -> None:
    """Print the networks that are not trained, and where the results are."""
    console = Console(stderr=True, highlight=False)
    done = sum(result.outcome is Outcome.DONE for result in results)
    console.print(f"{done} of {len(results)} networks are trained")
    for result in results:
        if result.outcome is not Outcome.DONE:
            console.print(f"  {result.name} {result.outcome}: {result.reason}", markup=False)
    report = RunFolder(out).report
    if report.is_dir():
        console.print(f"results, tables and figures: {report}", markup=False)


def _print_plan(study: Study, names: Sequence[str], cost: Estimate, jobs: int) -> None:
    """Print what a run would do: its networks in order, and their cost."""
    console = Console(highlight=False)
    console.print(study.about, markup=False)
    console.print()
    networks = {network.name: network for network in study.networks}
    table = Table("", "network", "base", "trained on", "outputs", "iterations", box=None)
    for number, name in enumerate(names, 1):
        network = networks[name]
        table.add_row(
            str(number),
            name,
            network.base_name or "-",
            network.train_data,
            str(study.outputs(network)),
            str(study.solver_of(network).max_iter),
        )
    console.print(table)
    console.print()
    databases = _databases(study, cost.data_bytes)
    console.print(f"disk: databases {databases}, snapshots {size(cost.snapshot_bytes)}")
    if cost.seconds is None:
        console.print("time: unknown; the study gives no seconds_per_iteration")
    else:
        at_once = f"{jobs} networks at once" if jobs > 1 else "one network at a time"
        console.print(f"time: about {duration(cost.seconds / jobs)}, {at_once}")


def _within(limit: int, plan: DiskPlan | None) -> str:
    """What a limit on the databases changes."""
    if plan is None:
        return f"within --disk {size(limit)}: if all databases fit, they are made beforehand"
    copies = sum(plan.made.values())
    often = f"{copies} times" if copies > len(plan.made) else "once each"
    return (
        f"within --disk {size(limit)}: databases take at most {size(plan.peak)} with one network "
        f"at a time; {len(plan.made)} of them are made when they are needed, {often}"
    )


def _databases(study: Study, by_caffe: int | None) -> str:
    """The size of the databases, which may differ by engine."""
    if study.images.databases == LMDB:
        return size(by_caffe)
    by_torch = disk_estimate(study, views=True)
    if study.images.databases == VIEW or size(by_torch) == size(by_caffe):
        return size(by_torch)
    return f"{size(by_torch)} by caffe-torch, {size(by_caffe)} by caffe"
