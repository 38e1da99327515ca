"""Layer types of all formats: the enumeration of caffe.proto, and what upgrades make of it."""

import pytest

from caffe_transfer.formats.layer_types import V1_OF_V0, modern_type
from caffe_transfer.formats.proto import caffe_pb2 as pb


def test_every_type_of_v1_has_a_modern_name() -> None:
    names = pb.V1LayerParameter.LayerType.keys()

    modern = [modern_type(name) for name in names]

    assert len(set(modern)) == len(names)
    # Acronyms apart, Caffe's V2 names are the words of V1's run together.
    for old, new in zip(names, modern, strict=True):
        if new and old != "SOFTMAX_LOSS":
            assert new.lower() == old.replace("_", "").lower()


def test_every_type_of_v0_has_a_name_in_v1() -> None:
    assert set(V1_OF_V0.values()) <= set(pb.V1LayerParameter.LayerType.keys())
    for v0, v1 in V1_OF_V0.items():
        assert modern_type(v0) == modern_type(v1)


@pytest.mark.parametrize(
    ("name", "modern"),
    [
        ("conv", "Convolution"),
        ("CONVOLUTION", "Convolution"),
        ("innerproduct", "InnerProduct"),
        ("INNER_PRODUCT", "InnerProduct"),
        ("images", "ImageData"),
        ("SOFTMAX_LOSS", "SoftmaxWithLoss"),
        ("TANH", "TanH"),
        ("NONE", ""),
        ("Convolution", "Convolution"),
        ("BatchNorm", "BatchNorm"),
        ("padding", "padding"),
        ("MyLayer", "MyLayer"),
    ],
)
def test_a_type_by_its_modern_name(name: str, modern: str) -> None:
    assert modern_type(name) == modern
