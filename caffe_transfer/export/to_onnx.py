"""ONNX, by torch's exporter of the module that the PyTorch export writes.

That module is plain PyTorch.  caffe-torch's own net computes in place and with gradients of its
own, which the exporter cannot follow.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from caffe_transfer.errors import BadInput
from caffe_transfer.export.check import sample
from caffe_transfer.export.deploy import Deploy
from caffe_transfer.export.packages import optional
from caffe_transfer.export.to_pytorch import first_line
from caffe_transfer.export.to_safetensors import texts
from caffe_transfer.export.weights import Array
from caffe_transfer.files import atomic_write

EXAMPLE_BATCH = 2  # torch takes 1 for a constant


@dataclass(frozen=True)
class Onnx:
    """A net in ONNX.

    Attributes:
        content: of the file.
        any_batch: whether it takes batches of any size, or of the declared one alone.
    """

    content: bytes
    any_batch: bool


def make_onnx(net: torch.nn.Module, deploy: Deploy, about: Mapping[str, Any]) -> Onnx:
    """Export a net, for batches of any size if it takes them.

    Raises:
        BadInput: torch's exporter cannot; says why.
    """
    several = deploy.with_batch(EXAMPLE_BATCH)
    if several is not None:
        try:
            return Onnx(_exported(net, several, about, any_batch=True), True)
        except torch.onnx.OnnxExporterError:
            pass  # such as a recurrent layer, whose steps are no batch
    try:
        return Onnx(_exported(net, deploy, about, any_batch=False), False)
    except torch.onnx.OnnxExporterError as error:
        raise BadInput(f"torch cannot export this net to ONNX: {_reason(error)}") from error


def run_onnx(onnx: Onnx, deploy: Deploy, inputs: Mapping[str, Array]) -> dict[str, Array] | None:
    """Outputs and scores by onnxruntime, by name; None where it is not installed."""
    runtime = optional("onnxruntime")
    if runtime is None:
        return None
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors
    content, names = _with_scores(onnx.content, deploy)
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    found = session.run(list(names), dict(inputs))
    return dict(zip(names.values(), found, strict=True))


def _with_scores(content: bytes, deploy: Deploy) -> tuple[bytes, dict[str, str]]:
    """A model that shows the scores below its probabilities as well.

    Returns:
        the model, and for each of its outputs the blob's name in the net.
    """
    import onnx

    model = onnx.load_from_string(content)
    names = {name: name for name in deploy.outputs}
    makers = {node.output[0]: node for node in model.graph.node if node.op_type == "Softmax"}
    softmax = [name for name in deploy.outputs if name in makers]
    for name, scores in zip(softmax, deploy.scores, strict=False):
        below = makers[name].input[0]
        if below not in names:
            model.graph.output.add(name=below)
            names[below] = scores
    return model.SerializeToString(), names


def write_onnx(onnx: Onnx, out: Path) -> None:
    """Write the file.

    Raises:
        BadInput: the folder is not writable, or the disk is full.
    """
    with atomic_write(out) as file:
        file.write(onnx.content)


def _exported(
    net: torch.nn.Module, deploy: Deploy, about: Mapping[str, Any], *, any_batch: bool
) -> bytes:
    size = torch.export.Dim("batch")
    free = tuple({0: size} for _ in deploy.inputs) if any_batch else None
    given = tuple(map(torch.from_numpy, sample(deploy).values()))
    plain = {f"blob:{name}": name for name in (*deploy.inputs, *deploy.outputs)}
    marked = {name: mark for mark, name in plain.items()}
    with _quiet():
        program = torch.onnx.export(
            net, given, dynamo=True, dynamic_shapes=free, verbose=False,
            input_names=[marked[name] for name in deploy.inputs],
            output_names=[marked[name] for name in deploy.outputs],
        )  # fmt: skip
        assert program is not None
        model = program.model_proto
    _rename(model.graph, plain)
    model.producer_name = about["producer"]
    for key, value in texts(about).items():
        model.metadata_props.add(key=key, value=value)
    return bytes(model.SerializeToString())


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    """Give values of a graph other names; those that have these names already get new ones.

    The exporter calls values by what makes them: a blob "log" would meet the value of a logarithm.
    """
    new = {name: f"inner:{name}" for name in names.values()} | dict(names)
    for node in graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = new.get(value.name, value.name)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch's exporter says to those who develop it."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _reason(error: Exception) -> str:
    """The exporter's own reason, which stands behind a page of advice."""
    cause = error.__cause__
    return first_line(cause if isinstance(cause, Exception) else error)
