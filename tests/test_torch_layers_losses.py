"""Losses and scores, as real Caffe has them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

import torch

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from tests.torch_layers import (
    Case,
    Draw,
    PyCaffe,
    Shape,
    bfloat16_types,
    check,
    one_sentence,
    refusal,
    run_ours,
)


def softmax(draw: Draw) -> Case:
    shape = draw.shape()
    axis = draw.number(-len(shape), len(shape) - 1)
    return Case("Softmax", f"softmax_param {{ axis: {axis} }}", [draw.values(shape, 5)])


def _classes(draw: Draw) -> tuple[Shape, int, int, Shape]:
    """A shape of scores, the axis of the classes, their number, the shape of the labels."""
    shape = draw.shape(2)
    axis = draw.number(1, len(shape) - 1)
    return shape, axis, shape[axis], (*shape[:axis], *shape[axis + 1 :])


def _loss_settings(draw: Draw, classes: int, *, old: bool = True) -> str:
    """Loss weight, a label to ignore, what to divide by."""
    parts = []
    if draw.pick(True, False):
        parts.append(f"ignore_label: {draw.pick(0, classes - 1, 255)}")
    if draw.pick(True, False):
        parts.append(f"normalization: {draw.pick('FULL', 'VALID', 'BATCH_SIZE', 'NONE')}")
    elif old and draw.pick(True, False):
        parts.append(f"normalize: {draw.pick('true', 'false')}")
    return f"loss_param {{ {' '.join(parts)} }}"


def _with_ignored(draw: Draw, settings: str, labels: np.ndarray) -> np.ndarray:
    """Labels, some of them 255 where that is ignored."""
    if "ignore_label: 255" in settings:
        labels[draw.labels(2, labels.shape) == 1] = 255
    return labels


def _weights(draw: Draw, tops: int) -> str:
    return f"loss_weight: {draw.real(0.1, 3)} " + "loss_weight: 0 " * (tops - 1)


def softmax_loss(draw: Draw) -> Case:
    shape, axis, classes, places = _classes(draw)
    settings = f"softmax_param {{ axis: {axis} }} {_loss_settings(draw, classes)}"
    labels = _with_ignored(draw, settings, draw.labels(classes, places))
    # Far apart, so that some probabilities are too small for float32.
    bottoms = [draw.values(shape, draw.pick(1, 100)), labels]
    return Case("SoftmaxWithLoss", settings + _weights(draw, 1), bottoms)


def sigmoid_loss(draw: Draw) -> Case:
    shape = draw.shape()
    settings = _loss_settings(draw, 2)
    targets = draw.pick(draw.between(0, 1, shape), draw.labels(2, shape))
    bottoms = [draw.values(shape, 4), _with_ignored(draw, settings, targets)]
    return Case("SigmoidCrossEntropyLoss", settings + _weights(draw, 1), bottoms)


def euclidean_loss(draw: Draw) -> Case:
    shape = draw.shape()
    bottoms = [draw.values(shape), draw.values(shape)]
    return Case("EuclideanLoss", _weights(draw, 1), bottoms, learning=(0, 1))


def hinge_loss(draw: Draw) -> Case:
    shape = draw.shape()
    labels = draw.labels(int(np.prod(shape[1:])), shape[:1])
    settings = f"hinge_loss_param {{ norm: {draw.pick('L1', 'L2')} }} {_weights(draw, 1)}"
    return Case("HingeLoss", settings, [draw.coarse(shape), labels])


def contrastive_loss(draw: Draw) -> Case:
    shape = (draw.number(1, 6), draw.number(1, 5), *draw.pick((), (1, 1)))
    settings = (
        f"contrastive_loss_param {{ margin: {draw.real(0.5, 4)} "
        f"legacy_version: {draw.pick('true', 'false')} }} {_weights(draw, 1)}"
    )
    alike = draw.labels(2, (shape[0], *draw.pick((), (1,))))
    bottoms = [draw.coarse(shape), draw.coarse(shape), alike]
    return Case("ContrastiveLoss", settings, bottoms, learning=(0, 1))


def multinomial_loss(draw: Draw) -> Case:
    shape = draw.shape()
    labels = draw.labels(int(np.prod(shape[1:])), shape[:1])
    # Some are too small to divide by.
    chances = draw.pick(draw.between(0.01, 1, shape), draw.between(0, 2e-20, shape))
    return Case("MultinomialLogisticLoss", _weights(draw, 1), [chances, labels])


def infogain_loss(draw: Draw) -> Case:
    shape, axis, classes, places = _classes(draw)
    tops = draw.pick(1, 2)
    settings = f"infogain_loss_param {{ axis: {axis} }} {_loss_settings(draw, classes, old=False)}"
    labels = _with_ignored(draw, settings, draw.labels(classes, places))
    matrix = draw.between(0, 1, (1, 1, classes, classes))
    bottoms = [draw.values(shape, draw.pick(1, 100)), labels, matrix]
    # Made to give gradients to its bottoms, Caffe stops at the matrix.
    return Case("InfogainLoss", settings + _weights(draw, tops), bottoms, tops=tops,
                learning=(), backward=False)  # fmt: skip


def accuracy(draw: Draw) -> Case:
    shape, axis, classes, places = _classes(draw)
    settings = f"axis: {axis} top_k: {draw.number(1, classes)} "
    settings += draw.pick("", f"ignore_label: {draw.pick(0, 255)}")
    labels = _with_ignored(draw, settings, draw.labels(classes, places))
    return Case("Accuracy", f"accuracy_param {{ {settings} }}", [draw.coarse(shape), labels],
                tops=draw.pick(1, 2), learning=(), backward=False)  # fmt: skip


def arg_max(draw: Draw) -> Case:
    shape = draw.shape()
    axis = draw.pick(None, draw.number(-len(shape), len(shape) - 1))
    most = int(np.prod(shape[1:])) if axis is None else shape[axis]
    settings = (
        f"argmax_param {{ {'' if axis is None else f'axis: {axis}'} "
        f"top_k: {draw.number(1, min(most, 5))} out_max_val: {draw.pick('true', 'false')} }}"
    )
    return Case("ArgMax", settings, [draw.coarse(shape)], learning=(), backward=False)


ALL = [
    softmax, softmax_loss, sigmoid_loss, euclidean_loss, hinge_loss, contrastive_loss,
    multinomial_loss, infogain_loss, accuracy, arg_max,
]  # fmt: skip


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_as_in_caffe(pycaffe: PyCaffe, tmp_path: Path, make: Callable[[Draw], Case]) -> None:
    check(pycaffe, tmp_path, make)


def test_the_matrix_of_a_file(pycaffe: PyCaffe, tmp_path: Path) -> None:
    def make(draw: Draw) -> Case:
        case = infogain_loss(draw)
        matrix = case.bottoms.pop()
        blob = pb.BlobProto(data=matrix.ravel(), shape=pb.BlobShape(dim=matrix.shape))
        path = tmp_path / f"matrix{draw.number(0, 10**6)}"
        path.write_bytes(blob.SerializeToString())
        source = f'infogain_loss_param {{ source: "{path}"'
        case.settings = case.settings.replace("infogain_loss_param {", source)
        return replace(case, learning=(0,), backward=True)

    check(pycaffe, tmp_path, make)


def test_probabilities_as_a_second_top() -> None:
    # Caffe offers it, but takes no such net: it wants one loss weight and two of them at once.
    draw = Draw(3)
    scores, labels = draw.values((2, 5, 3)), draw.labels(5, (2, 3))
    found = run_ours(Case("SoftmaxWithLoss", "", [scores, labels], tops=2))
    alone = run_ours(Case("SoftmaxWithLoss", "", [scores, labels]))
    assert np.allclose(found["top1"], torch.softmax(torch.from_numpy(scores), 1), rtol=1e-6)
    assert all(np.array_equal(found[name], alone[name]) for name in alone)


def test_without_tops() -> None:
    case = Case("SoftmaxWithLoss", "", [np.zeros((2, 5), np.float32), np.zeros(2, np.float32)],
                tops=0)  # fmt: skip
    layer, shapes = case.make()
    assert shapes == [()]
    assert len(layer.forward([torch.zeros(2, 5), torch.zeros(2)])) == 1


@pytest.mark.parametrize(
    "kind",
    ["SoftmaxWithLoss", "Accuracy", "HingeLoss", "MultinomialLogisticLoss"],
)
@pytest.mark.parametrize("label", [-1, 5, 255])
def test_a_label_outside_the_classes(kind: str, label: int) -> None:
    case = Case(kind, "", [np.zeros((2, 5), np.float32), np.array([0, label], np.float32)])
    with pytest.raises(BadInput, match=f"got the label {label}, but has 5 classes") as caught:
        run_ours(case)
    one_sentence(caught.value)


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_bfloat16(make: Callable[[Draw], Case]) -> None:
    case = make(Draw(7))
    values = case.type == "ArgMax" and "out_max_val: true" in case.settings
    assert set(bfloat16_types(case)) == {torch.bfloat16 if values else torch.float32}


MISSING = 'infogain_loss_param { source: "missing" }'


@pytest.mark.parametrize(
    ("kind", "settings", "shapes", "message"),
    [
        ("Softmax", "softmax_param { axis: 2 }", [(2, 3)], "axis 2"),
        ("SoftmaxWithLoss", "", [(2, 3), (3,)], "2 labels"),
        ("SoftmaxWithLoss", "", [(2, 3)], "takes 2"),
        ("EuclideanLoss", "", [(2, 3), (2, 4)], "one size"),
        ("EuclideanLoss", "", [(2, 3), (3, 2)], "as many labels"),
        ("SigmoidCrossEntropyLoss", "", [(2, 3), (2,)], "one size"),
        ("HingeLoss", "", [(2, 3), (2, 3)], "one label"),
        ("ContrastiveLoss", "", [(2, 3), (2, 4), (2,)], "(2, 4)"),
        ("ContrastiveLoss", "", [(2, 3), (2, 3), (3,)], "one label"),
        ("ContrastiveLoss", "", [(2, 3, 2), (2, 3, 2), (2,)], "(2, 3, 2)"),
        ("MultinomialLogisticLoss", "", [(2, 3), (2, 2)], "one label"),
        ("InfogainLoss", "", [(2, 3), (2,)], "needs a matrix"),
        ("InfogainLoss", "", [(2, 3), (2,), (2, 2)], "3 x 3"),
        ("InfogainLoss", MISSING, [(2, 3), (2,)], "cannot read its matrix missing"),
        ("InfogainLoss", "loss_param { normalize: true }", [(2, 3), (2,)], "normalize"),
        ("Accuracy", "", [(2, 3), (3,)], "2 labels"),
        ("Accuracy", "accuracy_param { top_k: 4 }", [(2, 3), (2,)], "top_k 4"),
        ("ArgMax", "argmax_param { top_k: 4 }", [(2, 3)], "from 1 to 3"),
        ("ArgMax", "", [()], "has a bottom without axes"),
    ],
)  # fmt: skip
def test_refusals(kind: str, settings: str, shapes: list[Shape], message: str) -> None:
    assert message in refusal(kind, settings, shapes)


def test_a_file_that_is_no_matrix(tmp_path: Path) -> None:
    path = tmp_path / "matrix"
    settings = f'infogain_loss_param {{ source: "{path}" }}'
    path.write_bytes(pb.BlobProto(shape=pb.BlobShape(dim=[3]), data=[1, 2, 3]).SerializeToString())
    assert "has 3 values" in refusal("InfogainLoss", settings, [(2, 3), (2,)])
    path.write_bytes(b"\xff")
    assert "cannot read its matrix" in refusal("InfogainLoss", settings, [(2, 3), (2,)])
