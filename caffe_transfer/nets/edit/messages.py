"""What all edits share: copies of nets with other layers, and errors that name the file."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb


def with_layers(net: pb.NetParameter, layers: Iterable[pb.LayerParameter]) -> pb.NetParameter:
    """A copy of a net that has copies of the given layers instead of its own."""
    found = pb.NetParameter()
    found.CopyFrom(net)
    found.ClearField("layer")
    found.layer.extend(layers)
    return found


def copy_softmax(source: pb.LayerParameter, target: pb.LayerParameter) -> None:
    """Give a layer the settings of another one's softmax, if it has some."""
    if source.HasField("softmax_param"):
        target.softmax_param.CopyFrom(source.softmax_param)


@contextmanager
def naming(file: str) -> Iterator[None]:
    """Put a file's name before the message of any BadInput."""
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{file}: {error}") from error
