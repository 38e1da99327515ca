"""Nets are held against the network that they were written for."""

import pytest
from google.protobuf import text_format

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.check import check_net_1_0
from tests.test_shapes import layer

SHAPE = (3, 8, 8)
ZEROS = "param { lr_mult: 0 decay_mult: 0 }"
WINDOW = "convolution_param { num_output: 2 kernel_size: 3 }"


def net(one: str, norm: str = "", two: str = "param { lr_mult: 3 }") -> str:
    return (
        layer("Data", "", "data label", "data_param { batch_size: 2 }")
        + layer("Convolution", "data", "one", f"{one} {WINDOW}")
        + layer("BatchNorm", "one", "norm", norm)
        + layer("Convolution", "norm", "two", f"{two} {WINDOW}")
    )


FROZEN = ("one", "norm")
GLOBAL = "batch_norm_param { use_global_stats: true }"
GOOD = net(ZEROS * 2, GLOBAL + ZEROS * 3)


def test_a_frozen_net() -> None:
    check_net_1_0(GOOD, "net.prototxt", FROZEN, SHAPE)
    check_net_1_0(net("", ZEROS * 3), "net.prototxt", (), SHAPE)  # statistics have no rates


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (net("", GLOBAL), "layer one is to be frozen, but has a multiplier above 0"),
        (net(ZEROS, GLOBAL), "layer one is to be frozen, but has a multiplier above 0"),
        (net(ZEROS + ZEROS.replace("decay_mult: 0", ""), GLOBAL),
         "layer one is to be frozen, but has a multiplier above 0"),
        (net(ZEROS * 2, ZEROS * 3), "layer norm is to be frozen, but moves its statistics"),
        (net(ZEROS * 2, GLOBAL, ZEROS), "layer two is to learn, but has lr_mult 0"),
        (GOOD.replace('"one"', '"1"'), "layer one is to be frozen, but the net has no such layer"),
        (GOOD.replace("size: 3", "size: 9"), r"layer 'one' \(Convolution\) has a window larger"),
    ],
)  # fmt: skip
def test_one_that_is_wrong(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=f"^net.prototxt: {message}"):
        check_net_1_0(text, "net.prototxt", FROZEN, SHAPE)


def test_the_multipliers_of_users_stand() -> None:
    users = text_format.Parse(net("", two=ZEROS), pb.NetParameter())
    check_net_1_0(net(ZEROS * 2, GLOBAL, ZEROS), "net.prototxt", FROZEN, SHAPE, users)
    with pytest.raises(BadInput, match=r"^net.prototxt: layer two is to learn with the multip"):
        check_net_1_0(GOOD, "net.prototxt", FROZEN, SHAPE, users)
