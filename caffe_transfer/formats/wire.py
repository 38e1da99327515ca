"""A walk over the tags of a protobuf file, without parsing what is not asked for.

A message is a row of fields, each a tag (number and wire type) and a value; nested messages and
packed arrays are length-delimited.  Walking a memory-mapped model this way touches only the
tags, so that a file of any size is read in as little memory as a small one.
https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MAX_VARINT = 10


class WireError(ValueError):
    """The bytes are no protobuf message; says what is wrong and where."""


class Field(NamedTuple):
    """One field: `buffer[start:end]` with its tag, `buffer[value:end]` without tag and length."""

    number: int
    wire_type: int
    start: int
    value: int
    end: int


def fields(buffer: memoryview, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """The fields of the message in `buffer[start:end]`, in the file's order.

    Raises:
        WireError: a field is cut off, or a tag cannot be.
    """
    position = start
    end = len(buffer) if end is None else end
    while position < end:
        tag, value = read_varint(buffer, position, end)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise WireError(f"no field has the number 0, as byte {position} says")
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
                raise WireError(f"byte {position} starts no field of protobuf")
        if after > end:
            raise WireError(f"the field at byte {position} goes {after - end} bytes past the end")
        yield Field(number, wire_type, position, value, after)
        position = after


def read_varint(buffer: memoryview, position: int, end: int) -> tuple[int, int]:
    """The variable-length integer at `position`, and the position after it.

    Raises:
        WireError: it is cut off or longer than 64 bits.
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
    """`value`, 0 or more, as a variable-length integer."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number: int, wire_type: int = BYTES) -> bytes:
    """The tag of a field."""
    return varint(number << 3 | wire_type)


def delimited(number: int, length: int) -> bytes:
    """Tag and length of a length-delimited field whose value follows."""
    return tag(number) + varint(length)
