"""Layers of caffe-torch judged by real pycaffe: random configurations, run by both.

All configurations of a layer type are drawn from one seed, and run by one pycaffe process.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from google.protobuf import text_format
from torch import Tensor

from caffe_transfer.caffe_torch.layers import Layer, make_layer
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb

Array = npt.NDArray[np.float32]
Shape = tuple[int, ...]
Results = dict[str, Array]
PyCaffe = Callable[..., str]
SEED = 1234  # of what layers draw at random
TOLERANCE = 1e-5  # of the largest value

REFERENCE = """
import json, sys
import caffe, numpy as np
folder = sys.argv[1]
given, out = np.load(folder + "/given.npz"), {}
for i, case in enumerate(json.load(open(folder + "/cases.json"))):
    with open(folder + "/net.prototxt", "w") as file:
        file.write(case["net"])
    net = caffe.Net(folder + "/net.prototxt", caffe.TRAIN if case["phase"] == 0 else caffe.TEST)
    parameters = net.params["x"] if "x" in net.params else []
    for k, parameter in enumerate(parameters):
        value = given[f"{i}/parameter{k}"]
        assert parameter.data.shape == value.shape, (case, parameter.data.shape, value.shape)
        parameter.data[...] = value
    for k in range(case["bottoms"]):
        learned = net.params.get(f"in{k}")
        bottom = learned[0] if learned else net.blobs[f"b{k}"]
        bottom.data[...] = given[f"{i}/bottom{k}"]
    caffe.set_random_seed(case["seed"])
    net.forward()
    for k in range(case["tops"]):
        out[f"{i}/top{k}"] = net.blobs[f"t{k}"].data.copy()
        if f"{i}/top_diff{k}" in given:
            net.blobs[f"t{k}"].diff[...] = given[f"{i}/top_diff{k}"]
    if case["backward"]:
        net.backward()
    for k in case["learning"]:
        out[f"{i}/bottom_diff{k}"] = net.blobs[f"b{k}"].diff.copy()
    for k, parameter in enumerate(parameters):
        out[f"{i}/parameter{k}"] = parameter.data.copy()
        out[f"{i}/parameter_diff{k}"] = parameter.diff.copy()
np.savez(folder + "/out.npz", **out)
"""


class Draw:
    """Random choices that are the same in every run."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def number(self, least: int, most: int) -> int:
        """A whole number, both ends included."""
        return int(self._random.integers(least, most + 1))

    def real(self, least: float, most: float) -> float:
        """A number of three decimals, which prototxt keeps."""
        return round(float(self._random.uniform(least, most)), 3)

    def pick(self, *choices: Any) -> Any:
        """One of the choices."""
        return choices[self.number(0, len(choices) - 1)]

    def shape(self, least: int = 1, most: int = 4) -> Shape:
        """A blob's shape with a number of axes."""
        return tuple(self.number(1, 6) for _ in range(self.number(least, most)))

    def image(self, side: int = 9, channels: int = 6) -> Shape:
        """The shape of a batch of images."""
        height, width = self.number(3, side), self.number(3, side)
        return (self.number(1, 3), self.number(1, channels), height, width)

    def values(self, shape: Shape, scale: float = 1.0) -> Array:
        """Normally distributed values."""
        return np.asarray(self._random.standard_normal(shape) * scale, np.float32)

    def coarse(self, shape: Shape) -> Array:
        """Values with many ties, some of them 0."""
        return (self._random.integers(-3, 4, shape) / 2).astype(np.float32)

    def between(self, least: float, most: float, shape: Shape) -> Array:
        """Evenly distributed values."""
        return self._random.uniform(least, most, shape).astype(np.float32)

    def labels(self, classes: int, shape: Shape) -> Array:
        """Classes."""
        return self._random.integers(0, classes, shape).astype(np.float32)


@dataclass
class Case:
    """A configuration of a layer, and its inputs.

    Attributes:
        learning: the bottoms whose gradients are compared.
        backward: whether Caffe runs backward; some layers stop it if it does.
        forced: whether it runs backward to all bottoms; else to those that learn.
    """

    type: str
    settings: str
    bottoms: list[Array]
    tops: int = 1
    phase: int = pb.TRAIN
    learning: Sequence[int] = (0,)
    backward: bool = True
    forced: bool = True
    parameters: list[Array] = field(default_factory=list)
    top_diffs: list[Array] = field(default_factory=list)

    def layer(self) -> pb.LayerParameter:
        """The layer's settings."""
        param = text_format.Parse(self.settings, pb.LayerParameter(name="x", type=self.type))
        param.bottom.extend(f"b{index}" for index in range(len(self.bottoms)))
        param.top.extend(f"t{index}" for index in range(self.tops))
        return param

    def net(self) -> str:
        """The layer in a net for Caffe."""
        net = pb.NetParameter(name="case", force_backward=self.forced)
        for index, bottom in enumerate(self.bottoms):
            given = net.layer.add(name=f"in{index}", type="Input", top=[f"b{index}"])
            if not self.forced and index in self.learning:
                given.type = "Parameter"
                given.parameter_param.shape.dim.extend(bottom.shape)
            else:
                given.input_param.shape.add(dim=bottom.shape)
        layer = self.layer()
        if not self.forced:  # Caffe runs no layer backward that is below no loss
            layer.loss_weight.extend([1] * self.tops)
        net.layer.append(layer)
        return text_format.MessageToString(net)

    def make(self, device: str = "cpu") -> tuple[Layer, list[Shape]]:
        """Our layer, set up on a device, and the shapes of its tops."""
        layer = make_layer(self.layer(), self.phase, Rng(SEED))
        layer.device = torch.device(device)
        shapes = layer.set_up([bottom.shape for bottom in self.bottoms])
        layer.blobs = [blob.to(device) for blob in layer.blobs]
        return layer, shapes

    def draw_rest(self, draw: Draw) -> None:
        """Draw what depends on the layer's shapes: parameters and, but for losses, top diffs."""
        layer, shapes = self.make()
        if not self.parameters:
            self.parameters = [draw.values(tuple(blob.shape)) for blob in layer.blobs]
        if not layer.is_loss and not self.top_diffs:
            self.top_diffs = [draw.values(shape) for shape in shapes]


def check(
    pycaffe: PyCaffe, folder: Path, make: Callable[[Draw], Case], *, count: int = 40,
    tolerance: float = TOLERANCE,
) -> None:  # fmt: skip
    """Compare Caffe's results with ours, with bottoms in both memory formats."""
    draw = Draw(2024)
    cases = [make(draw) for _ in range(count)]
    for case in cases:
        case.draw_rest(draw)
    reference = run_caffe(pycaffe, folder, cases)
    for index, case in enumerate(cases):
        wanted = {key.split("/")[1]: value for key, value in reference.items()
                  if key.startswith(f"{index}/")}  # fmt: skip
        with one_thread():
            for fast_order in (False, True):
                compare(case, run_ours(case, fast_order=fast_order), wanted, tolerance)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread; on small blobs more only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def compare(case: Case, found: Results, wanted: Results, tolerance: float) -> None:
    """Fail where results differ by more than a fraction of the largest value."""
    for name, values in found.items():
        expected = wanted[name]
        where = f"{name} of {case.type} {case.settings} {[b.shape for b in case.bottoms]}"
        assert values.shape == expected.shape, where
        assert np.isfinite(expected).all(), where
        largest = float(np.abs(expected).max(initial=0))
        error = float(np.abs(values - expected).max(initial=0))
        assert error <= tolerance * largest, f"{where}: {error} of {largest}"


def run_caffe(pycaffe: PyCaffe, folder: Path, cases: Sequence[Case]) -> Results:
    """Caffe's results; keys like 3/top0."""
    arrays: Results = {}
    listed = []
    for index, case in enumerate(cases):
        for kind, values in (("bottom", case.bottoms), ("parameter", case.parameters),
                             ("top_diff", case.top_diffs)):  # fmt: skip
            arrays.update({f"{index}/{kind}{k}": value for k, value in enumerate(values)})
        listed.append({
            "net": case.net(), "phase": case.phase, "bottoms": len(case.bottoms),
            "tops": case.tops, "learning": list(case.learning), "backward": case.backward,
            "seed": SEED,
        })  # fmt: skip
    np.savez(folder / "given.npz", **arrays)  # type: ignore[arg-type]
    (folder / "cases.json").write_text(json.dumps(listed))
    pycaffe(REFERENCE, folder)
    return dict(np.load(folder / "out.npz"))


def run_ours(case: Case, *, fast_order: bool = False, device: str = "cpu") -> Results:
    """Our layer's results, perhaps with images in channels_last."""
    layer, _ = case.make(device)
    for blob, value in zip(layer.blobs, case.parameters, strict=True):
        blob.copy_(torch.from_numpy(value)).requires_grad_(not layer.statistics)
    bottoms = [_tensor(value, fast_order).to(device) for value in case.bottoms]
    for index in case.learning:
        bottoms[index].requires_grad_()
    tops = layer.run(bottoms)
    _backward(case, tops)
    for given, bottom in zip(case.bottoms, bottoms, strict=True):
        assert np.array_equal(given, _array(bottom)), "a layer wrote into its bottom"
    found = {f"top{index}": _array(top) for index, top in enumerate(tops)}
    for index in case.learning:
        found[f"bottom_diff{index}"] = _gradient(bottoms[index])
    for index, blob in enumerate(layer.blobs):
        found[f"parameter{index}"] = _array(blob)
        if not layer.statistics:
            found[f"parameter_diff{index}"] = _gradient(blob)
    return found


def _backward(case: Case, tops: Sequence[Tensor]) -> None:
    diffs = [torch.from_numpy(diff) for diff in case.top_diffs]
    if not diffs:
        diffs = [torch.tensor(weight) for weight in case.layer().loss_weight or [1.0]]
    learned = [(top, diff) for top, diff in zip(tops, diffs, strict=False) if top.requires_grad]
    if learned:
        torch.autograd.backward(
            [top for top, _ in learned], [diff.to(top.device, top.dtype) for top, diff in learned]
        )


def bfloat16_types(case: Case) -> list[torch.dtype]:
    """The types of the tops where the net runs in bfloat16, and so do the layers before."""
    layer, _ = case.make()
    bottoms = [_tensor(value, False) for value in case.bottoms]
    with torch.autocast("cpu", torch.bfloat16):
        return [top.dtype for top in layer.run([bottoms[0].bfloat16(), *bottoms[1:]])]


def refusal(kind: str, settings: str, shapes: Sequence[Shape], tops: int = 1) -> str:
    """The message that refuses a layer; fails unless it is one sentence."""
    case = Case(kind, settings, [np.zeros(shape, np.float32) for shape in shapes], tops=tops)
    with pytest.raises(BadInput) as caught:
        case.make()
    return one_sentence(caught.value)


def one_sentence(error: BadInput) -> str:
    """The message of an error; fails unless it is one sentence that names the layer."""
    message = str(error)
    assert message.startswith("layer 'x'"), message
    assert "\n" not in message, message
    assert ". " not in message, message
    assert not message.endswith("."), message
    return message


def _tensor(values: Array, fast_order: bool) -> Tensor:
    tensor = torch.from_numpy(values.copy())
    if fast_order and tensor.dim() == 4:
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    return tensor


def _array(tensor: Tensor) -> Array:
    return tensor.detach().cpu().float().contiguous().numpy()


def _gradient(tensor: Tensor) -> Array:
    """The gradient; None means zeros."""
    return np.zeros(tensor.shape, np.float32) if tensor.grad is None else _array(tensor.grad)
