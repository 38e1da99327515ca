"""Forward and backward passes as one CUDA graph: the host launches one piece of work a pass.

The layers that read data run outside of it, and so does the optimizer, whose rate changes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from caffe_transfer.caffe_torch.fusion import Step
from caffe_transfer.caffe_torch.layers import Layer
from caffe_transfer.caffe_torch.net import Net, Outputs, Run, run_layer

Tops = dict[Layer, list[Tensor]]
WARM_UP = 3  # passes before the capture, in which libraries choose kernels and allocate memory


class Recorder(Protocol):
    """Runs and records work on a device; on a GPU, `CudaRecorder`."""

    def warm_up(self, run: Callable[[], Outputs]) -> Outputs:
        """Run it where it will be recorded."""

    def record(self, run: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], None]]:
        """Record it without any effect; return what it makes, and what makes that again."""


class CudaRecorder:
    """Records on a stream of its own, as PyTorch asks for."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def warm_up(self, run: Callable[[], Outputs]) -> Outputs:
        """Run it on the stream; what follows on the current one waits for it."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            outputs = run()
        current.wait_stream(self._stream)
        return outputs

    def record(self, run: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], None]]:
        """Capture it; the threads that read data may go on pinning memory."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            outputs = run()
        return outputs, graph.replay


class GraphedPass:
    """A training net's pass, run as it is at first, then recorded and replayed.

    Every pass takes a batch, and none is run but those that are asked for.
    """

    def __init__(
        self, net: Net, run: Callable[[Run], Outputs], recorder: Recorder, *, accumulate: bool
    ) -> None:
        """Prepare for passes.

        Args:
            run: runs the net forward by this and then backward; adds to the gradients of the
                parameters.
            accumulate: an update takes several passes.
        """
        self._run, self._recorder, self._accumulate = run, recorder, accumulate
        self._sources = [layer for layer in net.layers if _is_source(layer)]
        self._values = [parameter.value for parameter in net.parameters]
        self._passes = 0
        self._tops: Tops = {}
        self._outputs: Outputs | None = None

    def __call__(self) -> Outputs:
        """Run the next batch forward and backward; its outputs hold until the next pass."""
        tops = {layer: layer.forward([]) for layer in self._sources}
        self._passes += 1
        if self._passes <= WARM_UP:
            return self._recorder.warm_up(lambda: self._run(fed(tops)))
        if self._outputs is None:
            self._outputs = self._record(tops)
        if any(_shapes(given) != _shapes(self._tops[layer]) for layer, given in tops.items()):
            return self._recorder.warm_up(lambda: self._run(fed(tops)))
        for layer, given in tops.items():
            for kept, top in zip(self._tops[layer], given, strict=True):
                kept.copy_(top)
        self._replay()
        for value, grad in self._grads:
            if value.grad is not None:
                value.grad.add_(grad)
            else:  # the next pass overwrites what the graph has made
                value.grad = grad.clone() if self._accumulate else grad
        return self._outputs

    def _record(self, tops: Mapping[Layer, Sequence[Tensor]]) -> Outputs:
        """Record the pass on blobs of its own, and its gradients apart from those there are."""
        self._tops = {layer: list(map(torch.clone, given)) for layer, given in tops.items()}
        before = [value.grad for value in self._values]
        for value in self._values:
            value.grad = None
        outputs, self._replay = self._recorder.record(lambda: self._run(fed(self._tops)))
        self._grads = [(value, value.grad) for value in self._values if value.grad is not None]
        for value, grad in zip(self._values, before, strict=True):
            value.grad = grad
        return outputs


def obstacles(net: Net) -> list[Layer]:
    """The layers that keep a net's pass from being recorded."""
    return [layer for layer in net.layers if not (layer.capturable or _is_source(layer))]


def _is_source(layer: Layer) -> bool:
    """Whether it reads data; a layer of parameters has no bottoms either."""
    return not layer.param.bottom and not layer.blobs


def _shapes(blobs: Sequence[Tensor]) -> list[torch.Size]:
    return [blob.shape for blob in blobs]


def fed(tops: Tops) -> Run:
    """What runs a net's layers, but for those whose tops are given."""

    def run(step: Step, bottoms: list[Tensor]) -> list[Tensor]:
        return tops.get(step.layer) or run_layer(step, bottoms)

    return run
