"""The mean image of databases, as Caffe's compute_image_mean writes it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from caffe_transfer.data_prep.progress import OnStep, silent
from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_write
from caffe_transfer.formats.lmdb import open_lmdb
from caffe_transfer.formats.proto import caffe_pb2 as pb


def write_mean(databases: Sequence[Path], path: Path, progress: OnStep = silent) -> None:
    """Write the mean over all records of the databases as a binaryproto.

    Summed in float32 in the order of the keys, which gives the tool's very bytes.

    Raises:
        Incomplete, FormatError: a database is missing or holds no raw Datum records.
        BadInput: images differ in size; names the record.
    """
    total: np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None = None
    shape: tuple[int, int, int] = (0, 0, 0)
    count = 0
    for database in databases:
        with open_lmdb(database) as environment, environment.begin() as transaction:
            entries = int(transaction.stat()["entries"])
            for number, (key, value) in enumerate(transaction.cursor(), 1):
                datum = pb.Datum.FromString(value)
                here = (datum.channels, datum.height, datum.width)
                pixels = np.frombuffer(datum.data, np.uint8)
                if total is None:
                    shape, total = here, np.zeros(len(pixels), np.float32)
                if here != shape or len(pixels) != len(total) or datum.encoded:
                    raise BadInput(
                        f"record {key.decode(errors='replace')} of {database} is not a raw image "
                        f"of the shape {shape}; make the database with one size"
                    )
                total += pixels
                count += 1
                if number % 1000 == 0 or number == entries:
                    progress("mean image", number, entries)
    if total is None:
        raise BadInput(f"{databases[0]} holds no records; make it anew")
    mean = pb.BlobProto(num=1, channels=shape[0], height=shape[1], width=shape[2])
    mean.data.extend((total / np.float32(count)).tolist())
    with atomic_write(path) as file:
        file.write(mean.SerializeToString())
