"""Layers of caffe-torch on a GPU: as on the processor, where real Caffe is their judge."""

import importlib
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

import torch

from caffe_transfer.caffe_torch.precision import Precision
from tests import test_torch_layers
from tests.torch_layers import Case, Draw, compare, one_thread, run_ours

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

PARTS = ("", "_axes", "_batches", "_losses", "_recurrent", "_values")
MAKERS = [
    make
    for part in PARTS
    for make in importlib.import_module(f"tests.test_torch_layers{part}").ALL
    if make is not test_torch_layers.dropout  # another generator draws its masks there
]
# cuDNN and cuBLAS add up in another order, and Winograd's convolutions round more.
TOLERANCE = 1e-4
# Of a few classes, the gradient is what is left of terms that nearly cancel.
TOLERANCES = {"Softmax": 1e-3}
COUNT = 40


@pytest.fixture(autouse=True)
def fp32() -> None:
    """The precision that is Caffe's."""
    Precision.FP32.set_up()


@pytest.mark.parametrize("fast_order", [False, True], ids=["nchw", "channels_last"])
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: f"{make.__module__[17:]}-{make.__name__}")
def test_as_on_the_processor(make: Callable[[Draw], Case], fast_order: bool) -> None:
    draw = Draw(2024)
    for _ in range(COUNT):
        case = make(draw)
        case.draw_rest(draw)
        with one_thread():
            wanted = run_ours(case, fast_order=fast_order)
        found = run_ours(case, fast_order=fast_order, device="cuda")
        compare(case, found, wanted, TOLERANCES.get(case.type, TOLERANCE))


def test_dropout_keeps_its_share() -> None:
    ones = np.ones((1000, 1000), np.float32)
    layer, _ = Case("Dropout", "dropout_param { dropout_ratio: 0.25 }", [ones]).make("cuda")
    (top,) = layer.run([torch.from_numpy(ones).to("cuda")])
    kept = top != 0
    assert kept.float().mean().item() == pytest.approx(0.75, abs=0.005)
    assert torch.allclose(top[kept], torch.tensor(1 / 0.75, device="cuda"))
