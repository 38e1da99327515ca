"""`new`: a study of the user's own images, net and model."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from caffe_transfer.cli.show import Screen
from caffe_transfer.data_prep.left_out import summary
from caffe_transfer.new_study.plan import Plan, examine, plan_study, write_plan
from caffe_transfer.new_study.request import Request
from caffe_transfer.training.engine import find_engine
from caffe_transfer.training.local import threads_for
from caffe_transfer.training.train import Settings
from caffe_transfer.units import duration, size

PATH = click.Path(path_type=Path)


@click.command("new")
@click.argument("file", metavar="FILE.toml", type=PATH)
@click.option("--images", type=PATH, required=True, help="Folder of images, one folder a class.")
@click.option("--net", help="Built-in net, prototxt or Jinja template.  [default: by the images]")
@click.option("--weights", type=PATH, help="Model of the net: whose features shall serve you?")
@click.option("--minutes", type=float, default=60, help="Time for all training.", show_default=True)
def new_command(
    file: Path, images: Path, net: str | None, weights: Path | None, minutes: float
) -> None:
    """Write a study of your own images, net and model.

    Without --weights, it asks the paper's question of your images: two random halves of the
    classes, bases of both, selffers and transfers. With --weights, it asks up to which layer that
    model's features serve your images, and whether to freeze or to fine-tune them.

    Looks at the images and the net, checks the model, trains for a few seconds to know this
    machine's pace, and writes FILE.toml, with comments, for `run`. An existing file is never
    overwritten.

    \b
    Example:
      caffe-transfer new pets.toml --images photos
    Example: what is GoogLeNet, trained by somebody else, worth to one's own images?
      caffe-transfer new pets.toml --images photos --net train_val.prototxt \\
          --weights bvlc_googlenet.caffemodel --minutes 600
    """
    request = Request(file, images, net, weights, minutes)
    with Screen(total=0) as screen:
        examined = examine(request, screen.step)
        settings = Settings(find_engine(), threads=threads_for(jobs=1))
        plan = plan_study(examined, settings, note=screen.say)
    write_plan(plan)
    for line in _report(plan):
        click.echo(line)


def _report(plan: Plan) -> Sequence[str]:
    """What was found, what it costs, and what to do next."""
    found, study, draft, cost = plan.found, plan.study, plan.draft, plan.cost
    train = sum(each.train for each in found.classes)
    valid = sum(each.valid for each in found.classes)
    lines = [
        f"images: {len(found.classes)} classes, {train} for training, {valid} for validation, "
        f"median {found.median_width}x{found.median_height} pixels",
        *([f"  {summary(found.left_out)}"] if found.left_out else []),
        f"net: {study.net}, {len(draft.cuts)} cuts, of which the study has "
        f"{', '.join(each.cut.name for each in plan.layout.cuts)}",
    ]
    if draft.match is not None:
        same, others = draft.match.same, draft.match.others
        lines.append(
            f"model: {plan.request.weights} has {len(same)} of the net's {len(same) + len(others)} "
            f"layers in the same shapes{', all but ' if others else ''}{', '.join(others)}"
        )
    lines += [
        f"networks: {len(study.networks)} of {study.solver.max_iter} iterations of {study.batch} "
        "images",
        *(f"  left out, since time is short: {each}" for each in plan.layout.left_out),
        f"disk: databases {size(cost.data_bytes)}, snapshots {size(cost.snapshot_bytes)}",
        f"time: about {duration(cost.seconds or 0)}, one network at a time",
        f"written: {plan.request.file}; next:",
        f"  caffe-transfer run {shlex.quote(str(plan.request.file))}",
    ]
    return lines
