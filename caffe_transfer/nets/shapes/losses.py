"""Losses, whose first top is a scalar, and scores."""

import math
from collections.abc import Sequence

from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes.rules import Shape, Shapes, canonical_axis, refuse, rule


@rule("SoftmaxWithLoss", bottoms=(2, 2), tops=(1, 2), is_loss=True)
def _softmax_with_loss(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """softmax_loss_layer.cpp: a second top holds the probabilities."""
    class_view(layer, layer.softmax_param.axis, bottoms)
    return _first_of(layer, (), bottoms[0])


@rule("InfogainLoss", bottoms=(2, 3), tops=(1, 2), is_loss=True)
def _infogain_loss(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """infogain_loss_layer.cpp: a second top holds the probabilities."""
    _, classes, _ = class_view(layer, layer.infogain_loss_param.axis, bottoms)
    if len(bottoms) > 2 and math.prod(bottoms[2]) != classes**2:
        raise refuse(layer, f"needs a matrix of {classes} x {classes}, not {bottoms[2]}")
    return _first_of(layer, (), bottoms[0])


@rule("EuclideanLoss", "SigmoidCrossEntropyLoss", bottoms=(2, 2), is_loss=True)
def _loss_of_equal_sizes(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """euclidean_loss_layer.cpp, sigmoid_cross_entropy_loss_layer.cpp."""
    if math.prod(bottoms[0]) != math.prod(bottoms[1]):
        raise refuse(
            layer, f"needs two bottoms of one size, not the shapes {bottoms[0]} and {bottoms[1]}"
        )
    return _loss(layer, bottoms)


@rule("HingeLoss", "MultinomialLogisticLoss", bottoms=(2, 2), is_loss=True)
def _loss_of_labels(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """hinge_loss_layer.cpp, multinomial_logistic_loss_layer.cpp: a label for each row."""
    found = _loss(layer, bottoms)
    _check_one_label(layer, bottoms[0], bottoms[1])
    return found


@rule("ContrastiveLoss", bottoms=(3, 3), is_loss=True)
def _contrastive_loss(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """contrastive_loss_layer.cpp: two bottoms (batch, features), and a label for each pair."""
    found = _loss(layer, bottoms)
    for shape in bottoms[:2]:
        if math.prod(shape[2:]) != 1 or shape[1:2] != bottoms[0][1:2]:
            raise refuse(layer, f"needs two bottoms (batch, features), not the shape {shape}")
    _check_one_label(layer, bottoms[0], bottoms[2])
    return found


@rule("Accuracy", bottoms=(2, 2), tops=(1, 2))
def _accuracy(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """accuracy_layer.cpp: a second top holds the accuracy of each class."""
    given = layer.accuracy_param
    _, classes, _ = class_view(layer, given.axis, bottoms)
    if given.top_k > classes:
        raise refuse(layer, f"has top_k {given.top_k}, but only {classes} classes")
    return _first_of(layer, (), (classes,))


@rule("ArgMax")
def _arg_max(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """argmax_layer.cpp: top_k along an axis, or (batch, 1 or 2, top_k) of each image as a whole."""
    given, shape = layer.argmax_param, bottoms[0]
    if not shape:
        raise refuse(layer, "has a bottom without axes")
    axis = canonical_axis(layer, given.axis, shape) if given.HasField("axis") else None
    length = math.prod(shape[1:]) if axis is None else shape[axis]
    if not 1 <= given.top_k <= length:
        raise refuse(layer, f"has top_k {given.top_k}; it must be from 1 to {length}")
    if axis is not None:
        return Shapes(((*shape[:axis], given.top_k, *shape[axis + 1 :]),))
    more = (1,) * (len(shape) - 3)
    return Shapes(((shape[0], 2 if given.out_max_val else 1, given.top_k, *more),))


def class_view(
    layer: pb.LayerParameter, axis: int, bottoms: Sequence[Shape]
) -> tuple[int, int, int]:
    """The scores' shape as (outer, classes, inner); each outer and inner place has one label.

    Args:
        axis: of the classes; may count from the end.
        bottoms: the scores and the labels.

    Raises:
        BadInput: there is no such axis, or the number of labels does not fit.
    """
    scores, labels = bottoms[0], bottoms[1]
    axis = canonical_axis(layer, axis, scores)
    outer, inner = math.prod(scores[:axis]), math.prod(scores[axis + 1 :])
    if outer * inner != math.prod(labels):
        raise refuse(
            layer,
            f"has scores of the shape {scores} with the classes on axis {axis}, which need "
            f"{outer * inner} labels, but labels of the shape {labels}",
        )
    return outer, scores[axis], inner


def _first_of(layer: pb.LayerParameter, *tops: Shape) -> Shapes:
    """The tops that the layer names; a loss without named tops still makes its first."""
    return Shapes(tops[: max(1, len(layer.top))])


def _loss(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """loss_layer.cpp: as many labels as rows of values; a scalar."""
    if not all(bottoms[:2]) or bottoms[0][0] != bottoms[1][0]:
        raise refuse(
            layer, f"needs as many labels as values, not the shapes {bottoms[0]} and {bottoms[1]}"
        )
    return Shapes(((),))


def _check_one_label(layer: pb.LayerParameter, values: Shape, labels: Shape) -> None:
    if math.prod(labels) != values[0]:
        raise refuse(
            layer, f"needs one label for each row of its bottom {values}, not the shape {labels}"
        )
