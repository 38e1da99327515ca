"""`upgrade`."""

from pathlib import Path

import click

from caffe_transfer.cli.wrapping import echo, echo_wrapped
from caffe_transfer.old_files import OldKind, Upgrade, upgrade_file

FILE = click.Path(path_type=Path)


@click.command("upgrade")
@click.argument("old", metavar="OLD", type=FILE)
@click.argument("new", metavar="NEW", type=FILE)
def upgrade_command(old: Path, new: Path) -> None:
    """Write a net, a solver or a model in today's format.

    OLD is a prototxt or a caffemodel of any age; which of them, its content says. NEW is what
    Caffe's own upgrade_net_proto_text, upgrade_net_proto_binary and upgrade_solver_proto_text
    write. Blobs keep every byte. A file that is current already is copied.

    \b
    Example:
      caffe-transfer upgrade imagenet_train.prototxt train.prototxt
    """
    done = upgrade_file(old, new)
    echo(f"{_what(done)}, {new}")
    for note in done.notes:
        echo_wrapped("note: ", note)


def _what(done: Upgrade) -> str:
    form = "" if done.kind is OldKind.SOLVER else f" in format {done.format}"
    if not done.changed:
        return f"{done.kind}{form}, which is current: copied"
    if done.kind is OldKind.SOLVER:
        return "solver with a numeric type: upgraded"
    older = " with older fields" if done.format == "V2" else ""
    return f"{done.kind}{form}{older}: upgraded to V2, {done.layers} layers"
