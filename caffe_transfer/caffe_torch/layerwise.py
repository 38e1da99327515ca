"""One pass forward and backward, timed layer by layer, as `caffe time` does (tools/caffe.cpp)."""

import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from caffe_transfer.caffe_torch.fusion import Step
from caffe_transfer.caffe_torch.net import Net, Outputs
from caffe_transfer.caffe_torch.precision import Precision


def now(net: Net) -> float:
    """Seconds, after everything that the net's device was given to do."""
    if net.device.type == "cuda":
        torch.cuda.synchronize(net.device)
    return time.perf_counter()


class _Cut(torch.autograd.Function):
    """A blob as it is, cut off from the layers that made it, so that it can be overwritten.

    A leaf of autograd's graph would do, but for the layers that work in place.
    """

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, blob: Tensor) -> Tensor:
        ctx.mark_dirty(blob)
        return blob


@dataclass
class _Run:
    """A layer that ran forward: where gradients enter and leave it, in autograd's graph."""

    layer: str
    tops: dict[str, GradientEdge]
    bottoms: dict[str, GradientEdge]
    parameters: list[Tensor]
    from_loss: dict[str, Tensor]  # gradients that loss weights give to tops


class TimedPass:
    """A forward pass, then a backward pass.

    The layers run backward one at a time: each has an autograd graph of its own, in which stands
    what the graph of a training has of it.

    Attributes:
        forward_seconds: by layer.
        backward_seconds: by layer.
        gradients: those of the learning parameters.
    """

    def __init__(self, net: Net, precision: Precision) -> None:
        self.forward_seconds: defaultdict[str, float] = defaultdict(float)
        self.backward_seconds: defaultdict[str, float] = defaultdict(float)
        self.gradients: list[tuple[Tensor, Tensor]] = []
        self._net = net
        self._precision = precision
        self._runs: list[_Run] = []
        self._anchor = torch.empty(0, requires_grad=True)

    def forward(self) -> Outputs:
        """Run all layers forward."""
        with self._precision.autocast(self._net.device):
            return self._net.forward(self._forward)

    def backward(self) -> None:
        """Run backward, from the last to the first, the layers that training would."""
        arrived: dict[str, Tensor] = {}
        while self._runs:
            start, run = now(self._net), self._runs.pop()
            tops = run.from_loss
            for name in run.tops:
                if (gradient := arrived.pop(name, None)) is not None:
                    tops[name] = tops[name] + gradient if name in tops else gradient
            arrived |= self._through(run, tops)
            self.backward_seconds[run.layer] += now(self._net) - start

    def _forward(self, step: Step, bottoms: list[Tensor]) -> list[Tensor]:
        """Run a layer forward, cut off from the others."""
        cut = [_cut(blob, self._anchor) for blob in bottoms]
        pairs = zip(step.bottoms, cut, strict=True)
        # Looked up now: a layer that works in place changes the edge of its bottom.
        below = {name: get_gradient_edge(blob) for name, blob in pairs if blob.requires_grad}
        start = now(self._net)
        tops = step.layer.forward(cut)
        self.forward_seconds[step.layer.param.name] += now(self._net) - start
        if step.backward:
            self._runs.append(_run(step, tops, below))
        return tops

    def _through(self, run: _Run, tops: dict[str, Tensor]) -> dict[str, Tensor]:
        """The gradients of a layer's bottoms, for those of its tops; keeps its parameters'."""
        wanted: list[Any] = [*run.bottoms.values(), *run.parameters]
        if not tops or not wanted:
            return {}
        found = torch.autograd.grad(
            [run.tops[name] for name in tops], wanted, list(tops.values()), allow_unused=True
        )
        bottoms, parameters = found[: len(run.bottoms)], found[len(run.bottoms) :]
        pairs = zip(run.parameters, parameters, strict=True)
        self.gradients += [(blob, gradient) for blob, gradient in pairs if gradient is not None]
        return {
            name: gradient
            for name, gradient in zip(run.bottoms, bottoms, strict=True)
            if gradient is not None
        }


def _cut(blob: Tensor, anchor: Tensor) -> Tensor:
    if not blob.requires_grad:
        return blob
    return _Cut.apply(anchor, blob.data)  # type: ignore[no-any-return, no-untyped-call]


def _run(step: Step, tops: list[Tensor], below: dict[str, GradientEdge]) -> _Run:
    above = {name: top for name, top in zip(step.tops, tops, strict=True) if top.requires_grad}
    weights = zip(step.tops, step.loss_weights, step.outweighed, strict=True)
    return _Run(
        step.layer.param.name,
        {name: get_gradient_edge(top) for name, top in above.items()},
        below,
        [blob for blob in step.layer.blobs if blob.requires_grad],
        {
            name: torch.full_like(above[name], weight)
            for name, weight, outweighed in weights
            if weight and name in above and not outweighed
        },
    )
