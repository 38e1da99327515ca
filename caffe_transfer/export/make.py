"""A model and its net, written for programs other than Caffe."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from caffe_transfer.errors import BadInput
from caffe_transfer.export.deploy import Deploy, read_deploy
from caffe_transfer.export.packages import needed
from caffe_transfer.export.preprocessing import preprocessing
from caffe_transfer.export.weights import Weight, read_weights
from caffe_transfer.formats.hashes import sha256
from caffe_transfer.nets.shapes import Shape
from caffe_transfer.version import __version__


class Format(StrEnum):
    """What a model can be exported to."""

    SAFETENSORS = "safetensors"
    PYTORCH = "pytorch"
    ONNX = "onnx"


SUFFIXES = {
    Format.SAFETENSORS: (".safetensors",),
    Format.PYTORCH: (".pt", ".pth"),
    Format.ONNX: (".onnx",),
}


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        files: in the order in which they were written.
        deploy: the net.
        layers: the number of layers that have parameters.
        parameters: the numbers in them.
        measured: by what the outputs were computed for the check; "" if they were not.
        difference: the largest one between those outputs and caffe-torch's, as a fraction of an
            output's largest value; None if they were not compared.
        any_batch: whether the net takes batches of any size.
    """

    files: tuple[Path, ...]
    deploy: Deploy
    layers: int
    parameters: int
    measured: str = ""
    difference: float | None = None
    any_batch: bool = True


@dataclass(frozen=True)
class _Given:
    """A model that fits its net."""

    model: Path
    deploy: Deploy
    weights: Sequence[Weight]
    about: dict[str, Any]
    out: Path

    def exported(self, *files: Path, **found: Any) -> Exported:
        found.setdefault("any_batch", self.deploy.with_batch(1) is not None)
        return Exported(
            files=files,
            deploy=self.deploy,
            layers=len({each.layer for each in self.weights}),
            parameters=sum(math.prod(each.values.shape) for each in self.weights),
            **found,
        )


def export(model: Path, net: Path, to: Format, out: Path, shape: Shape | None = None) -> Exported:
    """Write a model for other programs; what computes is checked against caffe-torch first.

    Args:
        model: of any format.
        net: its prototxt of any format, for training or for deployment.
        out: a new file; the module of a PyTorch state_dict is written beside it.
        shape: (channels, height, width) of the images, where the net does not say it.

    Raises:
        Incomplete: model or net does not exist.
        FormatError: one of them is damaged, or something else.
        BadInput: they do not fit, a layer cannot be exported, a package is missing, `out` exists or
            has another suffix, or what would be written computes something else.
    """
    _check_name(out, to)
    deploy = read_deploy(net, shape)
    weights = read_weights(model, deploy, net)
    given = _Given(model, deploy, weights, _about(model, net, deploy), out)
    return _WRITERS[to](given)


def _check_name(out: Path, to: Format) -> None:
    suffixes = SUFFIXES[to]
    if out.suffix not in suffixes:
        raise BadInput(f"{out} does not end in {' or '.join(suffixes)}, as files of {to} do")
    if out.exists():
        raise _there_already(out)


def _there_already(path: Path) -> BadInput:
    return BadInput(f"{path} is there already; remove it or name another file")


def _about(model: Path, net: Path, deploy: Deploy) -> dict[str, Any]:
    """Where the net is from, and how it is used; ready for JSON."""
    return {
        "producer": f"caffe-transfer {__version__}",
        "net": deploy.net.name,
        "source": model.name,
        "source_sha256": sha256(model),
        "prototxt": net.name,
        "prototxt_sha256": sha256(net),
        "inputs": {name: list(shape) for name, shape in deploy.inputs.items()},
        "outputs": list(deploy.outputs),
        "preprocessing": preprocessing(deploy, net),
    }


def _safetensors(given: _Given) -> Exported:
    needed("safetensors")
    from caffe_transfer.export.to_safetensors import write_safetensors

    write_safetensors(given.weights, given.about, given.out)
    return given.exported(given.out)


def _pytorch(given: _Given) -> Exported:
    needed("torch")
    from caffe_transfer.export import to_pytorch
    from caffe_transfer.export.module import make_module

    text = to_pytorch.module_path(given.out)
    if text.exists():
        raise _there_already(text)
    module = make_module(given.deploy, given.weights)
    difference = _check_module(given)
    to_pytorch.write_pytorch(module, given.about, given.out)
    return given.exported(given.out, text, measured="PyTorch", difference=difference)


def _onnx(given: _Given) -> Exported:
    needed("torch", "onnx", "onnxscript")
    from caffe_transfer.export import check, to_onnx, to_pytorch
    from caffe_transfer.export.module import make_module

    net = to_pytorch.built(make_module(given.deploy, given.weights), given.about)
    onnx = to_onnx.make_onnx(net, given.deploy, given.about)
    differences = []
    for batch in (1, to_onnx.EXAMPLE_BATCH + 1) if onnx.any_batch else (None,):
        deploy = _sized(given.deploy, batch)
        found = to_onnx.run_onnx(onnx, deploy, check.sample(deploy))
        if found is not None:
            wanted = check.expected(deploy, given.model)
            differences.append(check.difference(found, wanted, "the ONNX file in onnxruntime"))
    if not differences:
        _check_module(given)
    to_onnx.write_onnx(onnx, given.out)
    return given.exported(
        given.out,
        measured="onnxruntime" if differences else "",
        difference=max(differences, default=None),
        any_batch=onnx.any_batch,
    )


def _check_module(given: _Given) -> float:
    """The largest difference between the PyTorch module and caffe-torch, scores included.

    Raises:
        BadInput: they differ.
    """
    from caffe_transfer.export import check, to_pytorch
    from caffe_transfer.export.module import make_module

    deploy = _sized(given.deploy, 1)
    with_scores = replace(deploy, outputs=(*deploy.outputs, *deploy.scores))
    net = to_pytorch.built(make_module(with_scores, given.weights), given.about)
    found = to_pytorch.outputs(net, with_scores, check.sample(deploy))
    return check.difference(found, check.expected(deploy, given.model), "the PyTorch module")


def _sized(deploy: Deploy, batch: int | None) -> Deploy:
    """The net for a batch, or for its own if it takes no other."""
    return deploy if batch is None else deploy.with_batch(batch) or deploy


_WRITERS: dict[Format, Callable[[_Given], Exported]] = {
    Format.SAFETENSORS: _safetensors,
    Format.PYTORCH: _pytorch,
    Format.ONNX: _onnx,
}
