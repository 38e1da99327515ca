"""Split layers: named and placed as Caffe's, by hand; whole nets in test_torch_net.py."""

import pytest
from google.protobuf import text_format

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.splits import insert_splits


def net(text: str) -> pb.NetParameter:
    return text_format.Parse(text, pb.NetParameter())


def test_each_reader_of_a_blob_gets_a_copy() -> None:
    given = net("""
        layer { name: "d" type: "Input" top: "x" top: "y" }
        layer { name: "a" type: "TanH" bottom: "x" top: "a" }
        layer { name: "b" type: "Eltwise" bottom: "y" bottom: "a" bottom: "y" top: "b" }
    """)
    before = given.SerializeToString()
    assert insert_splits(given) == net("""
        layer { name: "d" type: "Input" top: "x" top: "y" }
        layer { name: "y_d_1_split" type: "Split" bottom: "y"
                top: "y_d_1_split_0" top: "y_d_1_split_1" }
        layer { name: "a" type: "TanH" bottom: "x" top: "a" }
        layer { name: "b" type: "Eltwise" top: "b"
                bottom: "y_d_1_split_0" bottom: "a" bottom: "y_d_1_split_1" }
    """)
    assert given.SerializeToString() == before


def test_a_loss_weight_reads_too_and_moves_to_the_first_copy() -> None:
    given = net("""
        layer { name: "a" type: "TanH" bottom: "x" top: "a" loss_weight: 0.5 }
        layer { name: "b" type: "TanH" bottom: "a" top: "b" loss_weight: 2 }
    """)
    assert insert_splits(given) == net("""
        layer { name: "a" type: "TanH" bottom: "x" top: "a" }
        layer { name: "a_a_0_split" type: "Split" bottom: "a" top: "a_a_0_split_0"
                top: "a_a_0_split_1" loss_weight: 0.5 loss_weight: 0 }
        layer { name: "b" type: "TanH" bottom: "a_a_0_split_1" top: "b" loss_weight: 2 }
    """)


def test_layers_in_place_are_the_makers_of_what_follows() -> None:
    start = """
        layer { name: "a" type: "TanH" bottom: "x" top: "a" }
        layer { name: "r" type: "ReLU" bottom: "a" top: "a" }
    """
    two = 'layer { name: "b" type: "Eltwise" bottom: "a" bottom: "a" top: "b" }'
    assert insert_splits(net(start + two)).layer[2].name == "a_r_0_split"
    with pytest.raises(BadInput, match=r"layer 'r' changes blob 'a' in place, which another"):
        insert_splits(
            net('layer { name: "d" top: "a" }' + two + start.replace('top: "a" }', "}", 1))
        )
