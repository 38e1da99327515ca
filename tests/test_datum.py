"""Datum records."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.formats.datum import datum, planes, relabelled
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


@given(
    st.integers(1, 3), st.integers(0, 100_000), st.integers(0, 100_000),
    st.sampled_from(["raw", "encoded", "floats"]),
)  # fmt: skip
def test_a_record_with_another_label(channels: int, old: int, new: int, kind: str) -> None:
    record = pb.Datum(channels=channels, height=2, width=2, label=old)
    if kind == "floats":
        record.float_data.extend([0.5] * 4 * channels)
    else:
        record.data = b"1234" * channels
        record.encoded = kind == "encoded"
    before = record.SerializeToString()
    for without in (False, True):
        if without:
            record.ClearField("label")
            before = record.SerializeToString()
        record.label = new
        assert relabelled(memoryview(before), new) == record.SerializeToString()
