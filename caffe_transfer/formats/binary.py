"""Binary messages of Protocol Buffers, whose texts are text."""

from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message


def merge_binary(message: Message, content: bytes) -> None:
    """Add the fields of a serialized message.

    Python's Protocol Buffers returns `bytes` for a string that is not UTF-8, which no code expects.

    Raises:
        DecodeError: it is not such a message, lacks a required field, or a text in it is not UTF-8.
    """
    message.MergeFromString(content)
    check_required(message)
    for field in _texts_not_utf8(message):
        raise DecodeError(f"{field.full_name.partition('.')[2]} is not text in UTF-8")


def check_required(message: Message) -> None:
    """Check that a message has its required fields; those of Clip layers alone are in caffe.proto.

    Raises:
        DecodeError: it lacks one; names it.
    """
    lacking = message.FindInitializationErrors()  # type: ignore[attr-defined]  # not in its stub
    if lacking:
        raise DecodeError(f"it lacks {lacking[0]}")


def _texts_not_utf8(message: Message) -> Iterator[FieldDescriptor]:
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            if any(isinstance(each, bytes) for each in _values(value)):
                yield field
        elif field.message_type and field.message_type.name != "BlobProto":  # many, without texts
            for each in _values(value):
                yield from _texts_not_utf8(each)


def _values(value: Any) -> Iterable[Any]:
    """Of a field that is there once, or repeated."""
    return (value,) if isinstance(value, (str, bytes, Message)) else value
