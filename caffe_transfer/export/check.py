"""Whether what is exported computes the same as the net: caffe-torch's own is the measure."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from caffe_transfer.caffe_torch.fusion import Step
from caffe_transfer.caffe_torch.layers.inputs import Input
from caffe_transfer.caffe_torch.net import Net
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.errors import BadInput
from caffe_transfer.export.deploy import Deploy
from caffe_transfer.export.weights import Array
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.graph import Graph

TOLERANCE = 1e-5  # of the largest value of an output
# Bottoms that hold indices or marks, of which 0 and 1 are always allowed.
_MARKS = {"Embed": 0, "BatchReindex": 1, "Filter": -1, "LSTM": 1, "RNN": 1, "LSTMUnit": 2}


def sample(deploy: Deploy) -> dict[str, Array]:
    """Random inputs, the same in every run: pixels less a mean, or 0 and 1 where marks are read."""
    random = np.random.default_rng(0)
    marks = set(_marks(deploy.net))
    found = {}
    for name, shape in deploy.inputs.items():
        values = random.integers(0, 2, shape) if name in marks else random.normal(0, 50, shape)
        found[name] = np.asarray(values, np.float32)
    return found


def expected(deploy: Deploy, model: Path) -> dict[str, Array]:
    """The outputs and the scores by caffe-torch, for the sample, with the weights of a model."""
    net = Net(deploy.net, pb.NetState(phase=pb.TEST), Rng(0), torch.device("cpu"))
    with open_model(model) as opened:
        # A layer without parameters may have the name of one with some.
        layers = tuple(layer for layer in opened.layers if layer.blobs)
        net.load(replace(opened, layers=layers), lambda _: None)
    inputs = sample(deploy)
    for layer in net.layers:
        if isinstance(layer, Input):
            layer.values = [torch.from_numpy(inputs[top]) for top in layer.param.top]
    found: dict[str, Array] = {}

    def run(step: Step, bottoms: list[Tensor]) -> list[Tensor]:
        tops = step.layer.run(bottoms)
        for name, top in zip(step.tops, tops, strict=True):
            if name in (*deploy.outputs, *deploy.scores):
                found[name] = top.contiguous().numpy().copy()
        return tops

    with torch.no_grad():
        net.forward(run)
    return found


def difference(found: Mapping[str, Array], wanted: Mapping[str, Array], what: str) -> float:
    """The largest difference between outputs, as a fraction of an output's largest value.

    Args:
        what: is compared to caffe-torch, for the message.

    Raises:
        BadInput: it is larger than TOLERANCE, or a shape differs; names the output.
    """
    largest = 0.0
    for name, values in wanted.items():
        if found[name].shape != values.shape:
            raise _differs(what, name, f"has the shape {found[name].shape}, not {values.shape}")
        scale = float(np.abs(values).max(initial=0)) or 1.0
        gap = float(np.abs(found[name] - values).max(initial=0)) / scale
        if not gap <= TOLERANCE:  # so that NaN counts as different
            raise _differs(what, name, f"differs by {gap:.2g} of its largest value")
        largest = max(largest, gap)
    return largest


def _differs(what: str, name: str, how: str) -> BadInput:
    return BadInput(
        f"{what} does not compute what caffe-torch does: output {name!r} {how}; nothing was "
        "written, please report it with net and model"
    )


def _marks(net: pb.NetParameter) -> Iterator[str]:
    """The inputs that bottoms of indices and marks are computed from."""
    graph = Graph(net)
    for index, layer in enumerate(graph.layers):
        if layer.type in _MARKS:
            value = graph.bottoms[index][_MARKS[layer.type]]
            for above in graph.ancestors(value.layer):
                if graph.layers[above].type == "Input":
                    yield from graph.layers[above].top
