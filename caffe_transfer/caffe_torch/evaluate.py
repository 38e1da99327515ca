"""The commands `test` and `time`: scores and timings of a net."""

import time
from collections.abc import Callable

import torch

from caffe_transfer.caffe_torch import glog
from caffe_transfer.caffe_torch.layers import Layer
from caffe_transfer.caffe_torch.net import Net
from caffe_transfer.caffe_torch.precision import Precision
from caffe_transfer.errors import BadInput


@torch.inference_mode()
def test(net: Net, iterations: int, precision: Precision) -> None:
    """Log the outputs of each batch, and their means.

    Raises:
        BadInput: iterations is below 1.
    """
    _positive(iterations)
    glog.info(f"Running for {iterations} iterations.", "caffe")
    loss, sums = 0.0, dict[str, list[float]]()
    for batch in range(iterations):
        with precision.autocast(net.device):
            outputs = net.forward()
        loss += float(outputs.loss)
        for name, blob in outputs.blobs.items():
            values = blob.float().flatten().tolist()
            for value in values:
                glog.info(f"Batch {batch}, {name} = {glog.number(value)}", "caffe")
            before = sums.get(name, [0.0] * len(values))
            sums[name] = [a + b for a, b in zip(before, values, strict=True)]
    glog.info(f"Loss: {glog.number(loss / iterations)}", "caffe")
    for name, totals in sums.items():
        for total in totals:
            glog.info(glog.score(name, total / iterations, net.loss_weights[name]), "caffe")


def time_passes(net: Net, iterations: int, precision: Precision) -> None:
    """Log the average times of forward and backward passes, and of each layer's forward pass.

    Autograd runs backward as a whole, so that layers have forward times only.

    Raises:
        BadInput: iterations is below 1.
    """
    _positive(iterations)
    per_layer: dict[str, float] = {}
    forward = backward = 0.0
    for iteration in range(-1, iterations):  # the first one warms up
        if iteration == 0:
            glog.info("*** Benchmark begins ***", "caffe")
            glog.info(f"Testing for {iterations} iterations.", "caffe")
            per_layer.clear()
            forward = backward = 0.0
        start = _now(net)
        with precision.autocast(net.device):
            loss = net.forward(_stopwatch(net, per_layer)).loss
        middle = _now(net)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        end = _now(net)
        forward, backward = forward + middle - start, backward + end - middle
        for parameter in net.parameters:
            parameter.value.grad = None
        if iteration >= 0:
            spent = glog.number((end - start) * 1000)
            glog.info(f"Iteration: {iteration + 1} forward-backward time: {spent} ms.", "caffe")
    glog.info("Average time per layer: ", "caffe")
    for name, seconds in per_layer.items():
        glog.info(f"{name:>10}\tforward: {_average(seconds, iterations)} ms.", "caffe")
    glog.info(f"Average Forward pass: {_average(forward, iterations)} ms.", "caffe")
    glog.info(f"Average Backward pass: {_average(backward, iterations)} ms.", "caffe")
    both = _average(forward + backward, iterations)
    glog.info(f"Average Forward-Backward: {both} ms.", "caffe")
    glog.info("*** Benchmark ends ***", "caffe")


def _stopwatch(net: Net, per_layer: dict[str, float]) -> Callable[[Layer], None]:
    last = _now(net)

    def stop(layer: Layer) -> None:
        nonlocal last
        now = _now(net)
        name = layer.param.name
        per_layer[name] = per_layer.get(name, 0) + now - last
        last = now

    return stop


def _now(net: Net) -> float:
    if net.device.type == "cuda":
        torch.cuda.synchronize(net.device)
    return time.perf_counter()


def _average(seconds: float, iterations: int) -> str:
    return glog.number(seconds * 1000 / iterations)


def _positive(iterations: int) -> None:
    if iterations < 1:
        raise BadInput(f"--iterations={iterations} must be at least 1")
