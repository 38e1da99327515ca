"""Datum records: the cached reader agrees with protobuf."""

from contextlib import suppress

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

from caffe_transfer.caffe_torch.datum import _RawImages
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.wire import WireError

SIDES = st.integers(1, 3)
LABELS = st.sampled_from([0, 1, 127, 128, 999, -1, 2**31 - 1, -(2**31)])


@st.composite
def datums(draw: st.DrawFn) -> bytes:
    """Raw images, encoded ones, and some with too many pixels."""
    shape = [draw(SIDES) for _ in range(3)]
    size = int(np.prod(shape)) + draw(st.sampled_from([0, 0, 0, 0, 1]))
    data = draw(st.binary(min_size=size, max_size=size))
    datum = pb.Datum(channels=shape[0], height=shape[1], width=shape[2], data=data)
    choices = {"label": LABELS, "encoded": st.sampled_from([None, False, False, True])}
    for field, choice in choices.items():
        value = draw(choice)
        if value is not None:
            setattr(datum, field, value)
    content = datum.SerializeToString()
    if draw(st.booleans()):  # the shape after the pixels, as other writers may have it
        sides = {field: getattr(datum, field) for field in ("channels", "height", "width")}
        for field in sides:
            datum.ClearField(field)
        content = datum.SerializeToString() + pb.Datum(**sides).SerializeToString()
    return content


def check(raw: _RawImages, content: bytes) -> None:
    """Raw images are read as protobuf reads them; other kinds give None."""
    try:
        datum = pb.Datum.FromString(content)
    except DecodeError:
        with pytest.raises(WireError):
            raw.read(memoryview(content))
        return
    found = raw.read(memoryview(content))
    shape = (datum.channels, datum.height, datum.width)
    if datum.encoded or not datum.data or len(datum.data) != np.prod(shape):
        assert found is None
        return
    assert found is not None
    pixels, label = found
    assert (pixels.shape, label) == (shape, datum.label)
    assert pixels.tobytes() == datum.data


@given(st.lists(datums(), min_size=1, max_size=12))
def test_every_record_is_read_as_protobuf_reads_it(records: list[bytes]) -> None:
    raw = _RawImages()
    for content in records * 2:
        check(raw, content)


@given(datums(), st.data())
def test_a_record_that_is_cut_off(content: bytes, data: st.DataObject) -> None:
    raw = _RawImages()
    raw.read(memoryview(content))
    cut = content[: data.draw(st.integers(0, len(content) - 1))]
    check(_RawImages(), cut)
    with suppress(WireError):  # without the label that the whole one has, it is refused
        check(raw, cut)


def test_shapes_that_stand_after_the_pixels() -> None:
    raw = _RawImages()
    for sides in ((1, 2, 3), (3, 2, 1), (1, 2, 3)):
        shape = pb.Datum(channels=sides[0], height=sides[1], width=sides[2])
        check(raw, pb.Datum(data=b"pixels").SerializeToString() + shape.SerializeToString())


def test_a_label_that_a_wrong_bit_hides() -> None:
    good = pb.Datum(channels=1, height=2, width=3, data=b"pixels", label=4, encoded=False)
    hidden = good.SerializeToString().replace(b"\x28\x04", b"\x38\x04")  # encoded, twice
    replaced = good.SerializeToString().replace(b"\x38\x00", b"\x28\x00")  # label, twice
    cut_off = good.SerializeToString()[:-4]
    for content in (hidden, replaced, cut_off):
        raw = _RawImages()
        raw.read(memoryview(good.SerializeToString()))
        with pytest.raises(WireError, match=r"it has no label|a field twice"):
            raw.read(memoryview(content))


def test_labels_left_out_where_they_are_0() -> None:
    """As writers do that leave out all defaults."""
    raw = _RawImages()
    for label in (None, 1, None, 2):
        datum = pb.Datum(channels=1, height=2, width=3, data=b"pixels", label=label)
        check(raw, datum.SerializeToString())
