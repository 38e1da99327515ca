"""`generate`: the folders of one or all networks of a study."""

from pathlib import Path

import click

from caffe_transfer.errors import BadInput
from caffe_transfer.nets.render import DIALECTS, render
from caffe_transfer.nets.write import links, write_network
from caffe_transfer.paths import RESULTS
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Mode, Network

TASK = click.Choice(["A", "B"])


@click.command("generate")
@click.option("--n", type=int, default=0, help="Copy or freeze layers 1..N (1 to 7).")
@click.option(
    "--mode", type=click.Choice([mode.value for mode in Mode]), help="What kind of network."
)
@click.option("--base", type=TASK, help="Task of the base net.  [A]")
@click.option("--target", type=TASK, help="Task to train on.  [transfer: B, else A]")
@click.option("--split", default="0", help="0, 1, ..., natman, or whole.", show_default=True)
@click.option("--fine-tune", "fine_tuned", is_flag=True, help="Let copied layers learn (+).")
@click.option("--preserve", type=int, default=0, help="Copy K layers above the cut, fine-tuned.")
@click.option("--per-class", type=int, help="Images of each class, for mode reduced.")
@click.option("--seed", type=int, default=1, help="Repeat with other random numbers.")
@click.option("--study", default="paper", help="Built-in study or TOML file.", show_default=True)
@click.option("--quick", is_flag=True, help="The study's quick form.")
@click.option("--dialect", type=click.Choice(DIALECTS), default="1.0", show_default=True)
@click.option("--all", "everything", is_flag=True, help="Every network of the study.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
@click.option("--dry-run", is_flag=True, help="Print the files, write nothing.")
def generate_command(
    mode: str | None,
    study: str,
    quick: bool,
    dialect: str,
    everything: bool,
    out: Path,
    dry_run: bool,
    **network: object,
) -> None:
    """Write the folder of one network, or of every network of a study.

    \b
    Example: layers 1..4 of base A frozen, the rest trained on B (the paper's A4B)
      caffe-transfer generate --n 4 --mode transfer
    Example: the authors' 170 folders
      caffe-transfer generate --all --dialect 2014 --out authors
    """
    chosen = load_study(study, quick)
    if everything == (mode is not None):
        raise BadInput("say either --mode with what belongs to it, or --all")
    networks = chosen.networks if mode is None else [Network.from_options(Mode(mode), **network)]  # type: ignore[arg-type]
    for each in networks:
        if not dry_run:
            write_network(each, chosen, out, dialect)
        for name in [*render(each, chosen, dialect), *links(each, dialect)]:
            click.echo(out / each.name / name)
