"""Execution order: differs from the net's only where every value stays the same."""

import numpy as np
import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

import torch

from caffe_transfer.caffe_torch import net as nets
from caffe_transfer.caffe_torch.fusion import Step, execution_order
from caffe_transfer.caffe_torch.layers.inputs import Input
from caffe_transfer.caffe_torch.net import Net
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.formats.proto import caffe_pb2 as pb

RELU = 'layer { name: "relu" type: "ReLU" bottom: "c" top: "c" }'
POOL = (
    'layer { name: "pool" type: "Pooling" bottom: "c" top: "p" '
    "pooling_param { pool: MAX kernel_size: 3 stride: 2 } }"
)


def build(*layers: str) -> Net:
    text = (
        'layer { name: "in" type: "Input" top: "x" '
        "input_param { shape { dim: 2 dim: 3 dim: 7 dim: 6 } } }"
        'layer { name: "conv" type: "Convolution" bottom: "x" top: "c" '
        'convolution_param { num_output: 4 kernel_size: 1 weight_filler { type: "xavier" } } }'
    )
    param = text_format.Parse(text + "".join(layers), pb.NetParameter())
    return Net(param, pb.NetState(phase=pb.TRAIN), Rng(3), torch.device("cpu"))


def ran(net: Net) -> list[str]:
    names: list[str] = []

    def run(step: Step, bottoms: list[torch.Tensor]) -> list[torch.Tensor]:
        names.append(step.layer.param.name)
        return step.layer.forward(bottoms)

    net.forward(run)
    return names


@given(seed=st.integers(0, 2**32 - 1), few=st.booleans())
def test_relu_and_pooling_commute_to_the_bit(seed: int, few: bool) -> None:
    random = np.random.default_rng(seed)

    def numbers(*shape: int) -> torch.Tensor:
        """A few whole numbers: many equal maxima, and maxima of 0."""
        values = random.integers(-1, 2, shape) if few else random.standard_normal(shape)
        return torch.from_numpy(values).float()

    x, weight = numbers(2, 3, 7, 6), numbers(4, 3, 1, 1)
    weighed = (
        'layer { name: "sum" type: "InnerProduct" bottom: "p" top: "s" loss_weight: 1 '
        'inner_product_param { num_output: 1 weight_filler { type: "gaussian" } } }'
    )
    found = []
    for order in (execution_order, list):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(nets, "execution_order", order)
            net = build(RELU, POOL, weighed)
        assert (ran(net)[-2] == "relu") is (order is not list)
        source, learned = net.layers[0], net.parameters[0].value
        assert isinstance(source, Input)
        source.values = [x]
        with torch.no_grad():
            learned.copy_(weight)
        loss = net.forward().loss
        loss.backward()  # type: ignore[no-untyped-call]
        assert learned.grad is not None
        found.append((loss.detach().numpy(), learned.grad.numpy()))
    for mine, plain in zip(*found, strict=True):
        np.testing.assert_array_equal(mine, plain)


@pytest.mark.parametrize(
    "layers",
    [
        (RELU, POOL.replace("MAX", "AVE")),
        (RELU.replace("ReLU", "Sigmoid"), POOL),
        (RELU.replace('top: "c" }', 'top: "c" relu_param { negative_slope: -1 } }'), POOL),
        # The order of summation would change the gradient's last bit.
        (RELU.replace('top: "c" }', 'top: "c" relu_param { negative_slope: 0.1 } }'), POOL),
        (RELU.replace('top: "c"', 'top: "r"'), POOL.replace('bottom: "c"', 'bottom: "r"')),
        (RELU.replace('top: "c" }', 'top: "c" loss_weight: 1 }'), POOL),
        (RELU, POOL.replace('top: "p"', 'top: "p" top: "places"')),
        (RELU, POOL, 'layer { name: "t" type: "Threshold" bottom: "c" top: "t" }'),
        (RELU, 'layer { name: "t" type: "Dropout" bottom: "c" top: "c" }', POOL),
    ],
)
def test_nothing_else_changes_places(layers: tuple[str, ...]) -> None:
    net = build(*layers)
    assert ran(net) == [layer.param.name for layer in net.layers]


def test_the_model_keeps_the_order_of_the_net() -> None:
    net = build(RELU, POOL)
    assert ran(net) == ["in", "conv", "pool", "relu"]
    assert [layer.name for layer in net.settings().layer] == ["in", "conv", "relu", "pool"]
