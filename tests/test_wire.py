"""The walk over protobuf's tags, held against protobuf itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.formats import wire
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.wire import WireError

datums = st.builds(
    pb.Datum,
    channels=st.integers(-(2**31), 2**31 - 1),
    data=st.binary(max_size=300),
    label=st.integers(0, 9),
    float_data=st.lists(st.floats(width=32, allow_nan=False), max_size=9),
    encoded=st.booleans(),
)


@given(datums)
def test_the_fields_make_up_the_message(datum: pb.Datum) -> None:
    content = datum.SerializeToString()
    found = list(wire.fields(memoryview(content)))
    assert b"".join(content[field.start : field.end] for field in found) == content
    values = [content[f.value : f.end] for f in found if f.number == 4]
    assert values == [datum.data]


@given(datums, st.data())
def test_a_message_that_is_cut_is_an_error_or_a_shorter_message(
    datum: pb.Datum, data: st.DataObject
) -> None:
    content = datum.SerializeToString()
    cut = data.draw(st.integers(0, len(content)))
    boundaries = {0, *(field.end for field in wire.fields(memoryview(content)))}
    if cut in boundaries:
        list(wire.fields(memoryview(content)[:cut]))
    else:
        with pytest.raises(WireError):
            list(wire.fields(memoryview(content)[:cut]))


@given(st.binary(max_size=200))
def test_noise_is_an_error_or_fields(noise: bytes) -> None:
    try:
        found = list(wire.fields(memoryview(noise)))
    except WireError:
        return
    assert sum(field.end - field.start for field in found) == len(noise)


@given(st.integers(0, 2**63))
def test_varints(value: int) -> None:
    encoded = wire.varint(value)
    assert wire.read_varint(memoryview(encoded), 0, len(encoded)) == (value, len(encoded))


def test_what_is_wrong_is_told() -> None:
    for content, message in (
        (b"\x02", "number 0"),
        (b"\x0b", "does not start a protobuf field"),
        (b"\x0a\x05ab", "extends 3 bytes past the end"),
        (b"\x08\xff", "cut off"),
        (b"\x08" + b"\xff" * 11, "longer than 64 bits"),
        (b"\x0d\x00", "past the end"),
    ):
        with pytest.raises(WireError, match=message):
            list(wire.fields(memoryview(content)))
