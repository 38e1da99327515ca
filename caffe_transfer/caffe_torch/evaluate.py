"""The commands `test` and `time`: scores and timings of a net (tools/caffe.cpp)."""

import math
from collections import defaultdict

import torch

from caffe_transfer.caffe_torch import glog
from caffe_transfer.caffe_torch.layerwise import TimedPass, now
from caffe_transfer.caffe_torch.net import Net
from caffe_transfer.caffe_torch.precision import Precision


@torch.inference_mode()
def test(net: Net, iterations: int, precision: Precision) -> None:
    """Log the outputs of each batch, and their means; of no batches, a loss that is no number."""
    _say(f"Running for {iterations} iterations.")
    loss, sums = 0.0, dict[str, list[float]]()
    for batch in range(iterations):
        with precision.autocast(net.device):
            outputs = net.forward()
        loss += float(outputs.loss)
        for name, blob in outputs.blobs.items():
            values = blob.float().flatten().tolist()
            for value in values:
                _say(f"Batch {batch}, {name} = {glog.number(value)}")
            before = sums.get(name, [0.0] * len(values))
            sums[name] = [a + b for a, b in zip(before, values, strict=True)]
    _say(f"Loss: {glog.number(_mean(loss, iterations))}")
    for name, totals in sums.items():
        for total in totals:
            _say(glog.score(name, total / iterations, net.loss_weights[name]))


def time_passes(net: Net, iterations: int, precision: Precision) -> None:
    """Log the average times of forward and backward passes, in all and by layer.

    A ReLU that runs behind the max pooling that follows it (fusion.py) is timed there, under its
    own name.  Waiting for the device after each layer is part of the times, as in Caffe.
    """
    _say("Performing Forward")  # once outside the average, as memory is first allocated
    first = TimedPass(net, precision)
    _say(f"Initial loss: {glog.number(first.forward().loss.item())}")
    _say("Performing Backward")
    first.backward()
    _say("*** Benchmark begins ***")
    _say(f"Testing for {iterations} iterations.")
    by_layer: dict[tuple[str, str], float] = defaultdict(float)
    forward = backward = 0.0
    begin = now(net)
    for iteration in range(iterations):
        timed, start = TimedPass(net, precision), now(net)
        timed.forward()
        middle = now(net)
        timed.backward()
        end = now(net)
        forward, backward = forward + middle - start, backward + end - middle
        for layer in net.layers:
            name = layer.param.name
            by_layer[name, "forward"] += timed.forward_seconds[name]
            by_layer[name, "backward"] += timed.backward_seconds[name]
        _say(f"Iteration: {iteration + 1} forward-backward time: {_milli(end - start)} ms.")
    _say("Average time per layer: ")
    for name in (layer.param.name for layer in net.layers):
        for way in ("forward", "backward"):
            mean = _mean(by_layer[name, way], iterations)
            _say(f"{name:>10}\t{way}: {_milli(mean)} ms.")
    total = now(net) - begin if iterations > 0 else 0.0
    _say(f"Average Forward pass: {_milli(_mean(forward, iterations))} ms.")
    _say(f"Average Backward pass: {_milli(_mean(backward, iterations))} ms.")
    _say(f"Average Forward-Backward: {_milli(_mean(total, iterations))} ms.")
    _say(f"Total Time: {_milli(total)} ms.")
    _say("*** Benchmark ends ***")


def _say(text: str) -> None:
    glog.info(text, "caffe")


def _milli(seconds: float) -> str:
    return glog.number(seconds * 1000)


def _mean(total: float, count: int) -> float:
    """Not a number for a count of 0, where Caffe divides by it too."""
    return total / count if count else math.nan
