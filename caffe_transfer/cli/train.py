"""`train`, `run` and `status`: train networks and show how far they are."""

from dataclasses import dataclass
from pathlib import Path

import click

from caffe_transfer import pipeline
from caffe_transfer.cli.options import grouped
from caffe_transfer.cli.show import Screen, ended_table, plan_table, status_table
from caffe_transfer.errors import EngineError, Interrupted
from caffe_transfer.studies.load import load_study
from caffe_transfer.training import schedule
from caffe_transfer.training.engine import PRECISIONS, find_engine
from caffe_transfer.training.schedule import Outcome, threads_for
from caffe_transfer.training.status import status
from caffe_transfer.training.train import Settings, stop_on_signal, train_network

FOLDER = click.Path(path_type=Path)


@dataclass(frozen=True)
class EngineOptions:
    """The options that choose an engine and what it runs on."""

    engine: str | None
    precision: str | None
    gpu: str | None
    threads: int | None

    def settings(self, jobs: int) -> Settings:
        """Find the engine and return the settings of each of `jobs` concurrent trainings.

        Raises:
            EngineError: there is no such engine, or it lacks this precision.
        """
        engine = find_engine(self.engine, self.precision)
        return Settings(engine, self.gpu, self.threads or threads_for(jobs))


engine_option = click.option(
    "--engine",
    metavar="NAME",
    help="caffe, caffe-torch, or a path.  [default: caffe if installed, else caffe-torch]",
)
precision_option = click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    help="Precision of caffe-torch's matrix products.  [default: fp32, as in Caffe]",
)


@click.command("train")
@click.argument("folder", metavar="DIR", type=FOLDER)
@engine_option
@precision_option
@click.option("--gpu", help="Device numbers as Caffe takes them: 0, or 0,1, or all.")
@click.option("--threads", type=click.IntRange(1), help="BLAS threads.  [default: all cores]")
@grouped(EngineOptions, "options")
def train_command(folder: Path, options: EngineOptions) -> None:
    """Train the network in a folder; run it again to resume.

    \b
    Example:
      caffe-transfer train results/half0A
    """
    settings = options.settings(jobs=1)
    with stop_on_signal() as stop, Screen(total=1) as screen:
        screen.say(f"training with {settings.engine.name}: {settings.engine.program}")
        manifest = train_network(folder, settings, screen.network, stop)
    frozen = ", ".join(manifest.get("frozen", {}))
    click.echo(f"{folder} is trained: {next(iter(manifest['model']))}")
    if frozen:
        click.echo(f"frozen layers are byte-identical to their source: {frozen}")


@click.command("run")
@click.argument("study", metavar="STUDY")
@click.option("--out", type=FOLDER, required=True, help="Folder of the run.")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Networks to train at once.")
@click.option("--from", "given", type=FOLDER, help="Folder or archive that holds the images.")
@engine_option
@precision_option
@click.option("--gpu", help="Devices to share among the jobs: 0,1,2,3.")
@click.option(
    "--threads", type=click.IntRange(1), help="BLAS threads per job.  [default: cores / jobs]"
)
@click.option("--quick", is_flag=True, help="Run the study's quick form.")
@click.option("--dry-run", is_flag=True, help="Print networks, order and cost, and do nothing.")
@grouped(EngineOptions, "options")
def run_command(
    study: str,
    out: Path,
    jobs: int,
    given: Path | None,
    options: EngineOptions,
    quick: bool,
    dry_run: bool,
) -> None:
    """Run a study from images to report; run it again to resume.

    STUDY is a built-in study (fashion-mnist, tiny-imagenet, paper) or a TOML file.

    \b
    Example:
      caffe-transfer run fashion-mnist --out demo --jobs 2
    """
    chosen = load_study(study, quick)
    if dry_run:
        plan_table(chosen, schedule.order(chosen.networks), pipeline.estimate(chosen), jobs)
        return
    settings = options.settings(jobs)
    with stop_on_signal() as stop, Screen(total=len(chosen.networks)) as screen:
        screen.say(f"training with {settings.engine.name}: {settings.engine.program}")
        results = pipeline.run(
            chosen,
            out,
            options=pipeline.RunOptions(
                settings=settings,
                jobs=jobs,
                gpus=options.gpu.split(",") if options.gpu else (),
                images_from=given,
            ),
            callbacks=pipeline.Callbacks(
                step=screen.step, warn=screen.say, network=screen.network, ended=screen.ended
            ),
            stop=stop,
        )
    ended_table(results, out)
    if stop.is_set():
        raise Interrupted("stopped; run the same command again to go on")
    failed = [result for result in results if result.outcome is not Outcome.DONE]
    if failed:
        raise EngineError(f"{len(failed)} of {len(results)} networks are not trained, see above")


@click.command("status")
@click.argument("folder", metavar="DIR", type=FOLDER)
def status_command(folder: Path) -> None:
    """Show each network's state, iteration, loss, accuracy and remaining time.

    \b
    Example:
      caffe-transfer status demo
    """
    status_table(status(folder))
