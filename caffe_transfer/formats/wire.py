"""Walks over the fields of serialized protobuf messages without parsing their values.

A message is a sequence of fields, each a tag (number and wire type) and a value; nested messages
and packed arrays are length-delimited.  Walking over a memory-mapped model touches only the tags,
so that memory use does not depend on the size of the file.
https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MAX_VARINT = 10


class WireError(ValueError):
    """The bytes are not a protobuf message; says what is wrong and where."""


class Field(NamedTuple):
    """A field: `buffer[start:end]` with its tag, `buffer[value:end]` without tag and length."""

    number: int
    wire_type: int
    start: int
    value: int
    end: int


def fields(buffer: memoryview, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """Yield the fields of the message in `buffer[start:end]`.

    Raises:
        WireError: a field is truncated, or a tag is invalid.
    """
    position = start
    end = len(buffer) if end is None else end
    while position < end:
        tag, value = read_varint(buffer, position, end)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise WireError(
                f"byte {position} has the field number 0, which protobuf does not allow"
            )
        match wire_type:
            case 0:
                _, after = read_varint(buffer, value, end)
            case 1:
                after = value + 8
            case 2:
                length, value = read_varint(buffer, value, end)
                after = value + length
            case 5:
                after = value + 4
            case _:
                raise WireError(f"byte {position} does not start a protobuf field")
        if after > end:
            raise WireError(
                f"the field at byte {position} extends {after - end} bytes past the end"
            )
        yield Field(number, wire_type, position, value, after)
        position = after


def read_varint(buffer: memoryview, position: int, end: int) -> tuple[int, int]:
    """Return the variable-length integer at `position`, and the position after it.

    Raises:
        WireError: it is truncated or longer than 64 bits.
    """
    result = 0
    for count in range(_MAX_VARINT):
        if position + count >= end:
            raise WireError(f"the number at byte {position} is cut off")
        byte = buffer[position + count]
        result |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return result, position + count + 1
    raise WireError(f"the number at byte {position} is longer than 64 bits")


def varint(value: int) -> bytes:
    """Encode a non-negative integer as a variable-length integer."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number: int, wire_type: int = BYTES) -> bytes:
    """Encode the tag of a field."""
    return varint(number << 3 | wire_type)


def delimited(number: int, length: int) -> bytes:
    """Encode the tag and the length of a length-delimited field, which its value follows."""
    return tag(number) + varint(length)
