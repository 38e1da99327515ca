"""Contents of a Caffe file, line by line."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from google.protobuf import text_format

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.binaryproto import read_blob
from caffe_transfer.formats.caffemodel import Blob, open_model
from caffe_transfer.formats.datum import parsed
from caffe_transfer.formats.kinds import Kind, kind_of
from caffe_transfer.formats.lmdb import open_records
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_prototxt
from caffe_transfer.formats.solverstate import open_state


def describe(path: Path) -> Iterator[str]:
    """Describe a caffemodel, solverstate, binaryproto, LMDB (or view) or prototxt in lines of text.

    Raises:
        Incomplete: the file does not exist.
        FormatError: the file is broken, or not what its name says.
        BadInput: the file is not of a kind that Caffe uses.
    """
    reader = _READERS.get(kind_of(path))
    if reader is None:
        raise BadInput(f"{path} is not a caffemodel, solverstate, binaryproto, LMDB or prototxt")
    return reader(path)


def _model(path: Path) -> Iterator[str]:
    with open_model(path) as model:
        total = sum(blob.values.size for layer in model.layers for blob in layer.blobs)
        yield f"caffemodel, format {model.format}, name {model.name!r}, {total:,} parameters"
        for layer in model.layers:
            shapes = "  ".join(map(_shape, layer.blobs))
            yield f"  {layer.name:16} {layer.type:18} {shapes}".rstrip()


def _state(path: Path) -> Iterator[str]:
    with open_state(path) as state:
        yield (
            f"solverstate, iteration {state.iteration}, step {state.current_step}, "
            f"of {state.learned_net}"
        )
        for index, blob in enumerate(state.history):
            yield f"  history {index:3}  {_shape(blob)}"


def _mean(path: Path) -> Iterator[str]:
    mean = read_blob(path)
    planes = mean.values.reshape(mean.shape)[0]
    means = "  ".join(f"{float(plane.mean()):.4f}" for plane in planes)
    yield f"binaryproto {_shape(mean)}, mean of each channel {means}"


def _lmdb(path: Path) -> Iterator[str]:
    with open_records(path) as records:
        what = "LMDB" if records.view is None else f"view of {records.view.database}"
        yield f"{what}, {len(records):,} records"
        for key, value, label in islice(records, 1):
            datum = parsed(bytes(value), records.name(key))
            kind = "encoded" if datum.encoded else "raw"
            yield (
                f"  first {bytes(key).decode(errors='replace')}: {kind}, "
                f"{datum.channels}x{datum.height}x{datum.width}, "
                f"label {datum.label if label is None else label}"
            )


def _prototxt(path: Path) -> Iterator[str]:
    message = read_prototxt(path)
    if isinstance(message, pb.NetParameter):
        yield from _net(message)
        return
    yield f"solver of {message.net or message.train_net}, {message.max_iter:,} iterations"
    yield from ("  " + line for line in text_format.MessageToString(message).splitlines())


def _net(net: pb.NetParameter) -> Iterator[str]:
    old = [each.layer.name or each.name for each in net.layers]
    yield f"net {net.name!r}, {len(net.layer) or len(old)} layers"
    yield from (f"  {name}" for name in old)
    for layer in net.layer:
        rates = ", ".join(f"{spec.lr_mult:g}" for spec in layer.param)
        edges = f"{' '.join(layer.bottom)} -> {' '.join(layer.top)}"
        yield f"  {layer.name:16} {layer.type:18} {edges}" + (f"  lr_mult {rates}" if rates else "")


def _shape(blob: Blob) -> str:
    return "x".join(map(str, blob.shape)) or "scalar"


_READERS: dict[Kind, Callable[[Path], Iterator[str]]] = {
    Kind.MODEL: _model,
    Kind.STATE: _state,
    Kind.MEAN: _mean,
    Kind.LMDB: _lmdb,
    Kind.PROTOTXT: _prototxt,
}
