"""Binary models of formats V0 and V1, rewritten in V2 as `upgrade_net_proto_binary` does.

Settings are upgraded as those of prototxts are (upgrade.py), with a number in place of each blob;
the blobs follow byte for byte, so that memory use does not depend on the size of the file.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from caffe_transfer.formats import wire
from caffe_transfer.formats.binary import merge_binary
from caffe_transfer.formats.layer_records import (
    LAYER_FIELDS,
    NET_LAYER,
    NET_LAYERS_V1,
    V0_IN_V1,
    forget,
)
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.upgrade import upgrade_net
from caffe_transfer.formats.wire import Field
from caffe_transfer.formats.writer import around
from caffe_transfer.reading import reading

_PIECE = 1 << 20  # bytes in memory at a time


class Settings(NamedTuple):
    """A binary model without its numbers.

    Attributes:
        net: as written; the `num` of each blob is its index in `blobs`, and its only field.
        blobs: where the messages of the blobs lie in the file.
    """

    net: pb.NetParameter
    blobs: list[Field]


def read_settings(path: Path, buffer: memoryview) -> Settings:
    """Read all of a binary model but its numbers.

    Args:
        path: for messages; buffer: the contents of the file.

    Raises:
        FormatError: the file is truncated or not a model.
    """
    blobs: list[Field] = []
    with reading(path, "a whole .caffemodel", "fetch or train it again"):
        parts = b"".join(_without_numbers(buffer, blobs))
        net = pb.NetParameter()
        merge_binary(net, parts)
        return Settings(net, blobs)


def upgraded(settings: Settings, name: str) -> pb.NetParameter:
    """The settings in format V2, each blob still a number; see `upgrade_net`."""
    return upgrade_net(settings.net, name)


def write_upgraded(
    net: pb.NetParameter, blobs: list[Field], buffer: memoryview, file: BinaryIO
) -> None:
    """Write a model in format V2.

    Args:
        net: as `upgraded` returned it.
        blobs: of the Settings that it was made from.
        buffer: the contents of the file that these were read from.
    """
    head = pb.NetParameter()
    head.CopyFrom(net)
    head.ClearField("layer")
    file.write(head.SerializeToString())
    for layer in net.layer:
        _write_layer(layer, [blobs[blob.num] for blob in layer.blobs], buffer, file)


def _without_numbers(buffer: memoryview, blobs: list[Field]) -> Iterator[bytes]:
    for field in wire.fields(buffer):
        form = {NET_LAYER: "V2", NET_LAYERS_V1: "V1"}.get(field.number)
        if form is None:
            yield bytes(buffer[field.start : field.end])
        else:
            yield _layer(buffer, field, form, blobs)


def _layer(buffer: memoryview, record: Field, form: str, blobs: list[Field]) -> bytes:
    """A layer's message with a number for each blob; a V0 layer lies in one of V1."""
    parts = []
    for part in wire.fields(buffer, record.value, record.end):
        if form == "V1" and part.number == V0_IN_V1 and part.wire_type == wire.BYTES:
            parts.append(_layer(buffer, part, "V0", blobs))
        elif part.number == LAYER_FIELDS[form][2]:
            number = pb.BlobProto(num=len(blobs)).SerializeToString()
            parts.append(wire.delimited(part.number, len(number)) + number)
            blobs.append(part)
        else:
            parts.append(bytes(buffer[part.start : part.end]))
    message = b"".join(parts)
    return wire.delimited(record.number, len(message)) + message


def _write_layer(
    layer: pb.LayerParameter, blobs: list[Field], buffer: memoryview, file: BinaryIO
) -> None:
    field = pb.LayerParameter.BLOBS_FIELD_NUMBER
    settings = pb.LayerParameter()
    settings.CopyFrom(layer)
    settings.ClearField("blobs")
    head, tail = around(settings.SerializeToString(), field)
    tags = [wire.delimited(field, blob.end - blob.value) for blob in blobs]
    length = len(head) + len(tail)
    length += sum(len(tag) + blob.end - blob.value for tag, blob in zip(tags, blobs, strict=True))
    file.write(wire.delimited(NET_LAYER, length) + head)
    for tag, blob in zip(tags, blobs, strict=True):
        file.write(tag)
        for start in range(blob.value, blob.end, _PIECE):
            file.write(buffer[start : min(start + _PIECE, blob.end)])
            forget(buffer)
    file.write(tail)
