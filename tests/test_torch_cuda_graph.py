"""Passes that are recorded once and repeated: the same training, number for number."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

import torch
from google.protobuf import text_format
from torch import Tensor

from caffe_transfer.caffe_torch.cuda_graph import WARM_UP, CudaRecorder, Recorder, fed, obstacles
from caffe_transfer.caffe_torch.layers import Layer
from caffe_transfer.caffe_torch.layers.activations import ReLU
from caffe_transfer.caffe_torch.layers.batches import Filter
from caffe_transfer.caffe_torch.layers.hdf5_output import HDF5Output
from caffe_transfer.caffe_torch.layers.inputs import HDF5Data
from caffe_transfer.caffe_torch.layers.python import Python
from caffe_transfer.caffe_torch.layers.recurrent import LSTM, RNN
from caffe_transfer.caffe_torch.net import Net, Outputs
from caffe_transfer.caffe_torch.precision import Precision
from caffe_transfer.caffe_torch.solver import Action, Solver
from caffe_transfer.formats.proto import caffe_pb2 as pb

NET = """
layer { name: "data" type: "HDF5Data" top: "x" top: "label"
  hdf5_data_param { source: "SOURCE" batch_size: 5 } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv"
  convolution_param { num_output: 6 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "bn" }
layer { name: "scale" type: "Scale" bottom: "bn" top: "bn" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "bn" top: "bn" }
layer { name: "norm" type: "LRN" bottom: "bn" top: "norm" }
layer { name: "pool" type: "Pooling" bottom: "norm" top: "pool"
  pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy" }
"""
ITERATIONS = 3 * WARM_UP

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


class Again:
    """A recorder for the processor: runs the work again, and puts what it makes in its old place.

    Attributes:
        net: whose pass it is; to be set before the first one.
        recorded: how often a pass was recorded.
    """

    net: Net
    recorded = 0

    def warm_up(self, run: Callable[[], Outputs]) -> Outputs:
        return run()

    def record(self, run: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], None]]:
        self.recorded += 1
        values = [parameter.value for parameter in self.net.parameters]
        before = [value.detach().clone() for value in values]
        outputs = run()
        for value, old in zip(values, before, strict=True):
            value.detach().copy_(old)  # BatchNorm's statistics
        kept = self._made(values, outputs)

        def replay() -> None:
            grads = [value.grad for value in values]
            for value in values:
                value.grad = None
            for old, new in zip(kept, self._made(values, run()), strict=True):
                old.copy_(new)
            for value, grad in zip(values, grads, strict=True):
                value.grad = grad

        return outputs, replay

    def _made(self, values: list[Tensor], outputs: Outputs) -> list[Tensor]:
        grads = [value.grad for value in values if value.grad is not None]
        return [outputs.loss, *outputs.blobs.values(), *grads]


@pytest.fixture
def net(tmp_path: Path) -> pb.NetParameter:
    """A small net and its data."""
    random = np.random.default_rng(0)
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"] = random.standard_normal((35, 2, 8, 8)).astype(np.float32)
        file["label"] = random.integers(0, 3, 35).astype(np.float32)
    (tmp_path / "list.txt").write_text(f"{tmp_path}/data.h5\n")
    return text_format.Parse(NET.replace("SOURCE", f"{tmp_path}/list.txt"), pb.NetParameter())


def trained(
    net: pb.NetParameter, folder: Path, settings: str, recorder: Recorder | None, device: str
) -> list[Tensor]:
    """Parameters and history after some iterations."""
    param = pb.SolverParameter(
        net_param=net, max_iter=ITERATIONS, base_lr=0.05, lr_policy="step", stepsize=5, gamma=0.5,
        momentum=0.9, random_seed=3, display=1, snapshot_prefix=str(folder / "snap"),
    )  # fmt: skip
    text_format.Merge(settings, param)
    solver = Solver(
        param, torch.device(device), Precision.FP32, lambda: Action.NONE, recorder=recorder
    )
    if isinstance(recorder, Again):
        recorder.net = solver.net
    solver.solve()
    return [parameter.value.detach().cpu() for parameter in solver.net.parameters]


@pytest.mark.parametrize("settings", ["", "iter_size: 2", "clip_gradients: 0.1 iter_size: 3"])
def test_repeated_passes(
    net: pb.NetParameter, tmp_path: Path, settings: str, capfd: pytest.CaptureFixture[str]
) -> None:
    recorder = Again()
    found = trained(net, tmp_path, settings, recorder, "cpu")
    log = _losses(capfd.readouterr().err)
    wanted = trained(net, tmp_path, settings, None, "cpu")
    assert recorder.recorded == 1
    assert len(log) == ITERATIONS
    assert log == _losses(capfd.readouterr().err)
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def _losses(log: str) -> list[str]:
    return [line.partition("loss = ")[2] for line in log.splitlines() if "iter/s" in line]


def test_a_layer_that_cannot_be_captured(
    net: pb.NetParameter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(ReLU, "capturable", False)
    recorder = Again()
    trained(net, tmp_path, "", recorder, "cpu")
    assert not recorder.recorded
    assert "No CUDA graph: layer relu cannot be captured" in capfd.readouterr().err


@pytest.mark.parametrize("kind", [Filter, HDF5Output, LSTM, Python, RNN])
def test_what_cannot_be_captured(kind: type[Layer]) -> None:
    """Work on the processor, tops of any size, or a state that a graph would not carry on."""
    assert not kind.capturable


def test_a_batch_of_another_size_runs_as_it_is(
    net: pb.NetParameter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = HDF5Data.forward
    batches = Counter[HDF5Data]()

    def forward(layer: HDF5Data, bottoms: Sequence[Tensor]) -> list[Tensor]:
        batches[layer] += 1
        tops = original(layer, bottoms)
        return [top[:3] for top in tops] if batches[layer] == WARM_UP + 2 else tops

    monkeypatch.setattr(HDF5Data, "forward", forward)
    found = trained(net, tmp_path, "", Again(), "cpu")
    wanted = trained(net, tmp_path, "", None, "cpu")
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_layers_of_the_net_can_be_captured(net: pb.NetParameter, tmp_path: Path) -> None:
    """Its data layer cannot, and runs outside of the graph."""
    param = pb.SolverParameter(net_param=net, lr_policy="fixed", snapshot_after_train=False)
    solver = Solver(param, torch.device("cpu"), Precision.FP32, lambda: Action.NONE)
    assert obstacles(solver.net) == []


@needs_gpu
@pytest.mark.parametrize("settings", ["", "iter_size: 2"])
def test_a_graph_trains_as_eager_passes_do(
    net: pb.NetParameter, tmp_path: Path, settings: str
) -> None:
    torch.backends.cudnn.allow_tf32 = False
    recorder = CudaRecorder(torch.device("cuda", 0))
    found = trained(net, tmp_path, settings, recorder, "cuda:0")
    wanted = trained(net, tmp_path, settings, None, "cuda:0")
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@needs_gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_a_pass_waits_for_nothing_on_the_gpu(net: pb.NetParameter) -> None:
    param = pb.SolverParameter(net_param=net, lr_policy="fixed", snapshot_after_train=False)
    solver = Solver(param, torch.device("cuda", 0), Precision.FP32, lambda: Action.NONE)
    data, *others = solver.net.layers
    tops = {data: data.forward([])}
    solver.net.forward(fed(tops)).loss.backward()  # type: ignore[no-untyped-call]
    torch.cuda.set_sync_debug_mode("error")
    try:
        solver.net.forward(fed(tops)).loss.backward()  # type: ignore[no-untyped-call]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert others
