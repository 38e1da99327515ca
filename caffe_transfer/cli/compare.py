"""`compare`."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from caffe_transfer.cli.fit import print_fit
from caffe_transfer.cli.show import Screen
from caffe_transfer.cli.tables import Column, print_table
from caffe_transfer.cli.wrapping import echo, echo_wrapped
from caffe_transfer.comparison.blobs import BlobComparison
from caffe_transfer.comparison.compare import SAME, Comparison, Verdict, compare, model_and_net
from caffe_transfer.comparison.fit import fit

FILE = click.Path(path_type=Path)


@click.command("compare")
@click.argument("left", metavar="X", type=FILE)
@click.argument("right", metavar="Y", type=FILE)
@click.option("--meaning", is_flag=True, help="Exit with status 0 if the meaning is the same.")
@click.option("--match-fresh", is_flag=True, help="Match conv4 of one with conv4-new of the other.")
@click.option("--common", is_flag=True, help="Skip files that only one tree has.")
@click.option("--all", "everything", is_flag=True, help="Show what is the same as well.")
@click.option("--brief", is_flag=True, help="One line a file: no blobs, no lines of texts.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file.")
def compare_command(
    left: Path,
    right: Path,
    meaning: bool,
    match_fresh: bool,
    common: bool,
    everything: bool,
    brief: bool,
    as_json: bool,
) -> int:
    """Compare two files, or two trees of them.

    First by bytes, then models, solver states, means, prototxts and lists by meaning: models blob
    by blob, prototxts after Caffe's upgrade to today's format. A summary comes first, then what
    differs. Exit status 0 if all are identical (with --meaning: mean the same), else 1.

    A model and a prototxt: does the model fit the net? Exit status 0 if the net gets all of its
    parameters, else 1.

    \b
    Example:
      caffe-transfer compare theirs.caffemodel ours.caffemodel
      caffe-transfer compare googlenet.caffemodel deploy.prototxt
      caffe-transfer compare convnet_transfer/results authors --common
    """
    pair = model_and_net(left, right)
    if pair is not None:
        return _compare_fit(*pair, brief=brief, as_json=as_json)
    accepted = SAME if meaning else frozenset({Verdict.IDENTICAL})
    trees = left.is_dir()
    found = []
    with Screen(total=0) as screen:
        progress = partial(screen.comparing, say_end=trees)
        for each in compare(left, right, match_fresh=match_fresh, common=common, progress=progress):
            if as_json:
                click.echo(json.dumps(each.as_dict()))
            found.append(each)
    if not as_json:
        if trees:
            echo(_summary(found))
        for each in found:
            if not trees or everything or each.verdict not in accepted:
                _print(each, right if not trees else None, everything, brief)
    return 0 if all(each.verdict in accepted for each in found) else 1


def _compare_fit(model: Path, net: Path, *, brief: bool, as_json: bool) -> int:
    found = fit(model, net)
    if as_json:
        click.echo(json.dumps(found.as_dict()))
    else:
        print_fit(found, model, net, brief=brief)
    return 0 if found.fits else 1


def _summary(found: Sequence[Comparison]) -> str:
    verdicts = [each.verdict for each in found]
    counts = [f"{verdicts.count(each)} {each}" for each in Verdict if each in verdicts]
    files = f"{len(found)} file{'' if len(found) == 1 else 's'}"
    return f"{files}: {', '.join(counts)}" if counts else "no files"


def _print(found: Comparison, other: Path | None, everything: bool, brief: bool) -> None:
    names = found.name if other is None else f"{found.name} and {other}"
    detail = f": {found.summary}" if brief and found.summary else ""
    echo(f"{found.verdict:18} {names}{detail}")
    if brief and found.verdict is not Verdict.BROKEN:
        return
    if found.summary:
        echo_wrapped("    ", found.summary)
    for line in found.lines:
        echo(f"    {line}")
    blobs = [blob for blob in found.blobs if everything or not blob.identical]
    if blobs:
        _print_blobs(blobs)


def _print_blobs(blobs: Sequence[BlobComparison]) -> None:
    nans = any(blob.nans for blob in blobs)
    numbers = ["differ", "largest", "ulps", *(["NaN"] if nans else [])]
    columns = [
        Column("    blob", fold=True), Column("shape"),
        *(Column(name, right=True) for name in numbers),
    ]  # fmt: skip
    rows = []
    for blob in blobs:
        left, right = blob.shape_texts
        row = [f"    {blob.name}", left, "-", "-", "-"]
        if blob.different is None:
            row[1] = f"{left} and {right}"
        else:
            row[2:] = [f"{blob.different:,}", f"{blob.largest:.3g}", f"{blob.ulps:,}"]
        rows.append([*row, *([f"{blob.nans:,}"] if nans else [])])
    print_table(Console(), columns, rows)
