"""`compare` and `inspect`."""

import json
from pathlib import Path

import click

from caffe_transfer.comparison.compare import SAME, Comparison, Verdict, compare
from caffe_transfer.comparison.describe import describe

FILE = click.Path(path_type=Path)


@click.command("compare")
@click.argument("left", metavar="X", type=FILE)
@click.argument("right", metavar="Y", type=FILE)
@click.option("--meaning", is_flag=True, help="Exit with status 0 if the meaning is the same.")
@click.option("--match-fresh", is_flag=True, help="Match conv4 of one with conv4-new of the other.")
@click.option("--common", is_flag=True, help="Skip files that only one tree has.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file.")
def compare_command(
    left: Path, right: Path, meaning: bool, match_fresh: bool, common: bool, as_json: bool
) -> int:
    """Compare two files, or two trees of them.

    First by bytes, then models, solver states, means, prototxts and lists by meaning: models blob
    by blob, prototxts after Caffe's upgrade to today's format. Exit status 0 if all are identical
    (with --meaning: mean the same), else 1.

    \b
    Example:
      caffe-transfer compare theirs.caffemodel ours.caffemodel
      caffe-transfer compare convnet_transfer/results authors --common
    """
    accepted = SAME if meaning else {Verdict.IDENTICAL}
    counts = dict.fromkeys(Verdict, 0)
    for found in compare(left, right, match_fresh=match_fresh, common=common):
        counts[found.verdict] += 1
        if as_json:
            click.echo(json.dumps(found.as_dict()))
        else:
            _print(found)
    if not as_json and sum(counts.values()) != 1:
        click.echo(", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count))
    return 0 if all(verdict in accepted for verdict, count in counts.items() if count) else 1


def _print(found: Comparison) -> None:
    click.echo(f"{found.verdict:18} {found.name}")
    for line in found.lines:
        click.echo(f"    {line}")
    for blob in found.blobs:
        click.echo(f"    {blob.name:16} {blob.summary}")


@click.command("inspect")
@click.argument("file", type=FILE)
def inspect_command(file: Path) -> None:
    """Show what is in a file of Caffe's.

    FILE is a caffemodel, a solverstate, a binaryproto, an LMDB or a prototxt, of any age.

    \b
    Example:
      caffe-transfer inspect results/half0A/snapshots/net_iter_1000.caffemodel
    """
    for line in describe(file):
        click.echo(line)
