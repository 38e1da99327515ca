"""`generate`: writes the folders of one or all networks of a study."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click

from caffe_transfer.cli.options import CUT, grouped
from caffe_transfer.errors import BadInput
from caffe_transfer.nets.places import numbered
from caffe_transfer.nets.render import DIALECTS, plain_net, render, torn_paths
from caffe_transfer.nets.write import links, write_files
from caffe_transfer.paths import RESULTS
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Mode, Network
from caffe_transfer.studies.study import Study
from caffe_transfer.training.given import check_given, write_given_bases

TASK = click.Choice(["A", "B"])


@dataclass(frozen=True)
class NetworkOptions:
    """The options that describe one network; `mode` is None with --all."""

    mode: str | None
    n: int | str | None
    base: str | None
    target: str | None
    split: str
    fine_tuned: bool
    preserve: int
    per_class: int | None
    seed: int

    def network(self, study: Study) -> tuple[Study, Network]:
        """The network described, and the study that counts its cut.

        Raises:
            BadInput: no network has this combination of options, or the net has no such cut.
        """
        if self.n is None and self.mode in (Mode.SELFFER, Mode.TRANSFER, Mode.RANDOM):
            raise BadInput(
                f"mode {self.mode} needs --n, the cut below which layers are copied or frozen; "
                "caffe-transfer cuts lists those of a net"
            )
        options = asdict(self) | {"n": self.n or 0}
        if isinstance(self.n, str):
            study, options["n"] = numbered(study, self.n, plain_net(study))
        return study, Network.from_options(Mode(options.pop("mode")), **options)


@click.command("generate")
@click.option("--n", type=CUT, help="Copy or freeze the layers below this cut, by number or name.")
@click.option("--mode", type=click.Choice([mode.value for mode in Mode]), help="Kind of network.")
@click.option("--base", type=TASK, help="Task of the base network.  [default: A]")
@click.option(
    "--target", type=TASK, help="Task to train on.  [default: B for transfer, otherwise A]"
)
@click.option(
    "--split", default="0", help="0, 1, ..., natman, or whole for all classes.", show_default=True
)
@click.option(
    "--fine-tune", "fine_tuned", is_flag=True, help="Fine-tune the copied layers (the paper's +)."
)
@click.option("--preserve", type=int, default=0, help="Copy K layers above the cut, fine-tuned.")
@click.option("--per-class", type=int, help="Images per class, for mode reduced.")
@click.option("--seed", type=int, default=1, help="Random seed.", show_default=True)
@click.option("--study", default="paper", help="Built-in study or TOML file.", show_default=True)
@click.option(
    "--net", help="Instead of the study's: a built-in net, a prototxt or a Jinja template."
)
@click.option("--quick", is_flag=True, help="Use the study's quick form.")
@click.option(
    "--dialect",
    type=click.Choice(DIALECTS),
    default="1.0",
    help="Caffe 1.0, or the authors' files of 2014.",
    show_default=True,
)
@click.option("--all", "everything", is_flag=True, help="Write every network of the study.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=RESULTS, help="Folder.", show_default=True
)
@click.option("--dry-run", is_flag=True, help="Print the files' names and write nothing.")
@grouped(NetworkOptions, "options")
def generate_command(
    options: NetworkOptions,
    study: str,
    net: str | None,
    quick: bool,
    dialect: str,
    everything: bool,
    out: Path,
    dry_run: bool,
) -> None:
    """Write the folder of one network, or of every network of a study.

    \b
    Example: layers 1..4 of base A frozen, the rest trained on B (the paper's A4B)
      caffe-transfer generate --n 4 --mode transfer
    Example: the same of one's own net, cut above its layer fire5
      caffe-transfer generate --net squeezenet.prototxt --n fire5/concat --mode transfer
    Example: the authors' 170 folders
      caffe-transfer generate --all --dialect 2014 --out authors
    """
    chosen = load_study(study, quick)
    if net is not None:
        chosen = chosen.with_net(net)
    if everything == (options.mode is not None):
        raise BadInput("give either --mode with its options, or --all")
    if not everything:
        chosen, network = options.network(chosen)
        chosen = replace(chosen, networks=(network,))
    for sentence in torn_paths(chosen):
        click.echo(sentence, err=True)
    if not dry_run:
        write_given_bases(check_given(chosen), out)
    for network in chosen.networks:
        files = render(network, chosen, dialect)
        if not dry_run:
            write_files(network, files, out, dialect)
        for name in [*files, *links(network, dialect)]:
            click.echo(out / network.name / name)
