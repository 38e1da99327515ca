"""Datum records."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.formats.datum import datum, planes
from caffe_transfer.formats.proto import caffe_pb2 as pb


def test_channels_come_first_and_keep_their_order() -> None:
    blue, green, red = 1, 2, 3
    image = np.full((4, 5, 3), (blue, green, red), np.uint8)

    found = planes(image)

    assert found.shape == (3, 4, 5)
    assert [set(plane.ravel()) for plane in found] == [{blue}, {green}, {red}]
    assert found.flags.c_contiguous


def test_a_gray_image_has_one_channel() -> None:
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert planes(image).shape == (1, 2, 3)
    assert planes(image)[0].tolist() == image.tolist()


@given(st.integers(1, 4), st.integers(1, 8), st.integers(1, 8), st.integers(0, 100_000))
def test_protobuf_reads_a_record(channels: int, height: int, width: int, label: int) -> None:
    pixels = np.random.default_rng(label).integers(0, 256, (channels, height, width), np.uint8)

    record = pb.Datum.FromString(datum(pixels, label))

    assert (record.channels, record.height, record.width) == pixels.shape
    assert record.label == label
    assert record.data == pixels.tobytes()
    assert not record.float_data
