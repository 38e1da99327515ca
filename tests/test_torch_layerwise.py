"""A pass timed layer by layer computes the gradients of a training."""

import pytest

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

import torch
from google.protobuf import text_format

from caffe_transfer.caffe_torch.layerwise import TimedPass
from caffe_transfer.caffe_torch.net import Net
from caffe_transfer.caffe_torch.precision import Precision
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.caffe_torch.solver_nets import build_net
from caffe_transfer.formats.proto import caffe_pb2 as pb
from tests.edit_nets import USERS_NETS
from tests.test_edit import user

_DATA = """
shape { dim: 4 dim: 3 dim: 16 dim: 16 } data_filler { type: "uniform" }
shape { dim: 4 } data_filler { type: "constant" value: 2 }
"""
# Layers in place of every kind, and bottoms of which one is made from the other.
AWKWARD = """
layer { name: "in" type: "Data" top: "x" top: "label" data_param { source: "x" batch_size: 4 } }
layer { name: "a" type: "Convolution" bottom: "x" top: "a" param { lr_mult: 0 } param { lr_mult: 0 }
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "b" type: "Convolution" bottom: "a" top: "b"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "b" top: "b" }
layer { name: "c" type: "Convolution" bottom: "b" top: "c"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "sum" type: "Eltwise" bottom: "b" bottom: "c" top: "sum" }
layer { name: "sum_relu" type: "ReLU" bottom: "sum" top: "sum" }
layer { name: "drop" type: "Dropout" bottom: "sum" top: "sum" }
layer { name: "pool" type: "Pooling" bottom: "sum" top: "pool" pooling_param { kernel_size: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "more" type: "Power" bottom: "fc" top: "more" power_param { power: 2 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "more" bottom: "label" top: "loss" }
layer { name: "squares" type: "EuclideanLoss" bottom: "more" bottom: "fc" loss_weight: 0.1 }
"""


def net_of(name: str) -> Net:
    net = user(AWKWARD if name == "awkward" else USERS_NETS[name])
    for layer in net.layer:
        if layer.type == "Data":  # needs no files, then
            layer.type = "DummyData"
            layer.ClearField("transform_param")
            text_format.Parse(_DATA, layer.dummy_data_param)
    return build_net(net, pb.TRAIN, [], Rng(1), torch.device("cpu"))


@pytest.mark.parametrize("name", [n for n in USERS_NETS if "Data" in USERS_NETS[n]] + ["awkward"])
def test_gradients_are_those_of_a_training(name: str) -> None:
    whole, timed = (net_of(name) for _ in range(2))
    torch.manual_seed(0)
    loss = whole.forward().loss
    loss.backward()  # type: ignore[no-untyped-call]
    torch.manual_seed(0)
    made = TimedPass(timed, Precision.FP32)
    assert torch.equal(made.forward().loss.detach(), loss.detach())
    made.backward()
    found: dict[int, torch.Tensor] = {}
    for blob, gradient in made.gradients:  # shared parameters get several
        found[id(blob)] = found.get(id(blob), torch.zeros(())) + gradient
    assert any(parameter.value.grad is not None for parameter in whole.parameters)
    for one, other in zip(whole.parameters, timed.parameters, strict=True):
        if one.value.grad is None:
            assert id(other.value) not in found
        else:
            torch.testing.assert_close(found[id(other.value)], one.value.grad, rtol=1e-6, atol=1e-7)
    names = [layer.param.name for layer in timed.layers]
    assert set(made.forward_seconds) == set(names)
    assert min(made.forward_seconds.values()) > 0
    assert set(made.backward_seconds) < set(names)
