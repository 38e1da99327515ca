"""The file of a new study: short, with a comment wherever a number is a choice."""

import math
import shlex
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from caffe_transfer.cost import Estimate
from caffe_transfer.data_prep.survey import Survey
from caffe_transfer.new_study.draft import Draft
from caffe_transfer.new_study.layout import Layout
from caffe_transfer.new_study.request import Request
from caffe_transfer.studies.network import Mode
from caffe_transfer.studies.schema import toml_value
from caffe_transfer.studies.study import Study
from caffe_transfer.studies.write import pairs, set_keys

_WIDTH = 96
_ABOUT = {
    Mode.BASE: "Trained from random weights.  With seeds = [1, 2, 3] in every group all networks "
    "are trained three times, to see how far chance goes.",
    Mode.SELFFER: "Cut from base B and trained on B again: what a cut alone costs, by torn "
    "co-adaptation.",
    Mode.TRANSFER: "Cut from A and trained on B: what A's features are worth to B.",
}
_FREEZING = (
    "fine_tune = false freezes the copied layers, true trains them further; fine-tuned selffers "
    "are the control of fine-tuned transfers, which have trained longer than the base."
)
# Of [images], those that a new study sets, in the order of the file.
_IMAGES = ("source", "path", "valid_fraction", "classes", "channels", "size", "crop", "scale",
           "valid_per_class")  # fmt: skip
_SOLVER = ("base_lr", "lr_policy", "stepvalue", "gamma", "max_iter", "test_iter", "test_interval",
           "snapshot", "display")  # fmt: skip


def heading(request: Request, study: Study, found: Survey, cost: Estimate, engine: str) -> str:
    """The comment that the file opens with: command, question, images, cost."""
    train = sum(each.train for each in found.classes)
    valid = sum(each.valid for each in found.classes)
    question = "Up to which layer do features of one half of the classes serve the other half?"
    if request.weights is not None:
        question = (
            f"Up to which layer do the features of {request.weights.name} serve these images, and "
            "is it better to freeze them or to fine-tune them?"
        )
    minutes = max(1, round((cost.seconds or 0) / 60))
    disk = round(((cost.data_bytes or 0) + cost.snapshot_bytes) / 1e6)
    return "".join(
        [
            _comment(f"caffe-transfer run {shlex.quote(request.file.name)}"),
            "#\n",
            _comment(question),
            _comment(
                f"Images: {len(found.classes)} classes, {train} images for training, {valid} for "
                "validation."
            ),
            _comment(
                f"Cost: {len(study.networks)} networks, {minutes} minutes with {engine} on the "
                f"machine that timed it, {disk} MB of disk."
            ),
            _comment("Every number is a starting point; docs/studies.md has all keys."),
        ]
    )


def body(study: Study, draft: Draft, layout: Layout) -> str:
    """The tables of the file.

    Args:
        study: names files as the file is to name them.
    """
    return "\n".join([*_top(study, draft, layout), *_images(study), *_solver(study, draft),
                      *_networks(layout), *_splits(study)]) + "\n"  # fmt: skip


def _top(study: Study, draft: Draft, layout: Layout) -> Iterator[str]:
    yield f"name = {toml_value(study.name)}"
    yield from _comments(draft.choice.why)
    yield f"net = {toml_value(study.net)}"
    yield f"batch = {study.batch}"
    yield from _comments(_tested(study, draft))
    yield f"test_batch = {study.test_batch}"
    if study.cuts is not None:
        yield from _comments(
            f"{len(layout.cuts)} of the net's {len(draft.cuts)} cuts, spread over its parameters "
            f"and multiply-adds; caffe-transfer cuts {shlex.quote(study.net)} shows them all.  "
            "n below counts this list."
        )
        yield f"cuts = {toml_value(study.cuts)}"
    yield from _comments("Measured, tests included, on average over all networks.")
    yield f"seconds_per_iteration = {study.seconds_per_iteration}"


def _tested(study: Study, draft: Draft) -> str:
    testing = draft.testing
    sentence = (
        f"test_iter x test_batch = {testing.test_iter} x {testing.test_batch} = {testing.images}: "
        f"a test reads each validation image of B once.  With so many, differences below about "
        f"{_chance(testing.images):.2g} points are within chance."
    )
    if not testing.even:
        sentence += "  A has another number, and is read unevenly."
    return sentence


def _chance(images: int) -> float:
    """Half the width, in points, of the 95 % interval of a difference of two accuracies near 50 %.

    Binomial, each measured on so many images.
    """
    return 100 * 1.96 * math.sqrt(2 * 0.5 * 0.5 / images)


def _images(study: Study) -> Iterator[str]:
    yield from ("", "[images]")
    yield from pairs(_set(study.images, _IMAGES))
    unless = ", unless the net has mean values" if study.net_file else ""
    yield from _comments(
        f"The training images' mean is subtracted{unless}; in its place, one of",
        'mean = "mean.binaryproto"',
        "mean_values = [104, 117, 123]    # blue, green, red",
    )


def _solver(study: Study, draft: Draft) -> Iterator[str]:
    solver = study.solver
    passes = solver.max_iter * study.batch / draft.tasks.target_training_images
    yield ""
    yield from _comments(
        f"Plain SGD, which sees each training image of B about {passes:.3g} times.  Where the loss "
        "becomes nan or stays at ln(classes), divide base_lr by 10.  All networks share these "
        "settings, so that they can be compared.  A solver's prototxt of your own, whose settings "
        "those of the table go before:",
        'file = "solver.prototxt"',
    )
    yield "[solver]"
    yield from pairs({name: getattr(solver, name) for name in _SOLVER})


def _networks(layout: Layout) -> Iterator[str]:
    if layout.left_out:
        yield ""
        yield from _comments(
            f"Left out, since time is short: {' and '.join(layout.left_out)}; more --minutes have "
            "them."
        )
    for mode, table in layout.tables:
        yield ""
        yield from _comments(_ABOUT[mode])
        if mode is Mode.SELFFER:
            yield from _comments(_FREEZING)
        yield from ("[[networks]]", f"mode = {toml_value(mode)}")
        yield from pairs(table)


def _splits(study: Study) -> Iterator[str]:
    for name, split in study.custom_splits.items():
        yield ""
        yield from _comments("A is the given model, which is never trained; B is these images.")
        yield f"[splits.{name}]"
        yield f"A.model = {toml_value(split.A.model)}"
        yield f"B.classes = {toml_value(split.B.classes)}"


def _set(settings: object, names: Iterable[str]) -> dict[str, Any]:
    """Those of the named keys that differ from their defaults, in the names' order."""
    found = set_keys(settings)
    return {name: found[name] for name in names if name in found}


def _comments(text: str, *examples: str) -> list[str]:
    return [*_comment(text).splitlines(), *(f"#     {line}" for line in examples)]


def _comment(text: str) -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False,
        break_on_hyphens=False,
    ) + "\n" if text else ""  # fmt: skip
