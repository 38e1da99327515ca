"""Records of a database as batches, made by threads ahead of the net.

One thread goes through the records and decides on their crops, in order; others decode them and
copy them side by side.  Raw images are copied once, straight from the mapped database.
"""

import os
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple
from weakref import WeakValueDictionary

import cv2
import lmdb
import numpy as np
import numpy.typing as npt
import torch
from google.protobuf.message import DecodeError
from torch import Tensor

from caffe_transfer import wire
from caffe_transfer.caffe_torch.transform import Transformer, Views
from caffe_transfer.errors import BadInput
from caffe_transfer.proto import caffe_pb2 as pb
from caffe_transfer.wire import WireError
from data_prep.lmdbs import open_lmdb, planes

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Record = Callable[[], tuple[Pixels, int]]  # decodes image (channels, height, width) and label

_OPEN: WeakValueDictionary[Path, lmdb.Environment] = WeakValueDictionary()
_AHEAD = 4  # batches, as data_param's prefetch has it
_MOST_THREADS = 8


class Batch(NamedTuple):
    """Images (batch, channels, height, width), labels (batch,), and how each is to be seen."""

    images: Tensor
    labels: Tensor
    views: Views


class Reader:
    """Makes batches until it is stopped."""

    def __init__(
        self, source: Iterator[Record], batch: int, shape: tuple[int, int, int],
        transformer: Transformer, for_gpu: bool,
    ) -> None:  # fmt: skip
        """Start.

        Args:
            shape: (channels, height, width) of the images.
            for_gpu: batches lie in pinned memory, and more threads than one make them.
        """
        self._source, self._batch, self._shape = source, batch, shape
        self._transformer, self._for_gpu = transformer, for_gpu
        threads = min(_MOST_THREADS, len(os.sched_getaffinity(0))) if for_gpu else 1
        self._workers = ThreadPoolExecutor(threads, "decode")
        self._ready: queue.Queue[Future[Batch]] = queue.Queue(max(_AHEAD, threads))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="data", daemon=True)
        self._thread.start()

    def next(self) -> Batch:
        """The next batch.

        Raises:
            CaffeTransferError: a record could not be read.
        """
        return self._ready.get().result()

    def stop(self) -> None:
        """End the threads."""
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._ready.get_nowait()
            except queue.Empty:
                self._thread.join(0.01)
        self._workers.shutdown(cancel_futures=True)

    def _work(self) -> None:
        _, height, width = self._shape
        while not self._stop.is_set():
            try:
                chosen = list(islice(self._source, self._batch))
                views = self._transformer.draw(self._batch, height, width)
                made = self._workers.submit(self._make, chosen, views)
            except BadInput as error:
                made = Future()
                made.set_exception(error)
            self._ready.put(made)

    def _make(self, chosen: list[Record], views: Views) -> Batch:
        decoded = (record() for record in chosen)
        first = next(decoded)
        kind = torch.uint8 if first[0].dtype == np.uint8 else torch.float32
        images = torch.empty((len(chosen), *self._shape), dtype=kind, pin_memory=self._for_gpu)
        labels = torch.empty(len(chosen), dtype=torch.int64, pin_memory=self._for_gpu)
        into, named = images.numpy(), labels.numpy()
        for index, (pixels, label) in enumerate(chain([first], decoded)):
            named[index] = label
            if pixels.shape != self._shape:
                raise BadInput(
                    f"an image has the shape {pixels.shape} and the first one {self._shape}; "
                    "write the database anew, with one size"
                )
            into[index] = pixels
        return Batch(images, labels, views)


def records(path: Path, param: pb.TransformationParameter) -> Iterator[Record]:
    """The records of an LMDB in the order of the keys, again and again, without end.

    Raises:
        FormatError: there is no such database.
        BadInput: it is empty, or (from a record) a record is no image.
    """
    environment = _environment(path.resolve())
    # One transaction for all: the views of the mapped file are valid as long as it is open.
    with environment.begin(buffers=True) as reading:
        if not environment.stat()["entries"]:
            raise BadInput(f"{path} is an empty database; make it with `data lmdb`")
        while True:
            for key, value in reading.cursor():
                yield partial(_read, path, key, value, param)


def _environment(path: Path) -> lmdb.Environment:
    """A database that several layers may read: LMDB opens a file once in a process."""
    found = _OPEN.get(path)
    if found is None:
        found = _OPEN[path] = open_lmdb(path)
    return found


def _read(
    path: Path, key: memoryview, value: memoryview, param: pb.TransformationParameter
) -> tuple[Pixels, int]:
    try:
        pixels, label = _raw(value) or _parsed(value, param)
    except (DecodeError, WireError) as error:
        raise BadInput(
            f"record {bytes(key)!r} of {path} is no Datum; write the database anew"
        ) from error
    if pixels is None:
        raise BadInput(
            f"record {bytes(key)!r} of {path} holds no whole image; write the database anew"
        )
    return pixels, label


def _raw(value: memoryview) -> tuple[Pixels, int] | None:
    """A raw image, as a view of the record; None if the Datum holds another kind."""
    numbers: dict[int, int] = {}
    data = value[:0]
    for field in wire.fields(value):
        if field.wire_type == wire.VARINT:
            numbers[field.number], _ = wire.read_varint(value, field.value, field.end)
        elif field.number == pb.Datum.DATA_FIELD_NUMBER:
            data = value[field.value : field.end]
    shape = tuple(
        numbers.get(number, 0)
        for number in (
            pb.Datum.CHANNELS_FIELD_NUMBER, pb.Datum.HEIGHT_FIELD_NUMBER,
            pb.Datum.WIDTH_FIELD_NUMBER,
        )
    )  # fmt: skip
    encoded = numbers.get(pb.Datum.ENCODED_FIELD_NUMBER)
    if encoded or not len(data) or len(data) != shape[0] * shape[1] * shape[2]:
        return None
    label = numbers.get(pb.Datum.LABEL_FIELD_NUMBER, 0)
    label -= (label >> 63) << 64  # negative numbers are written with 64 bits
    return np.frombuffer(data, np.uint8).reshape(shape), label


def _parsed(value: memoryview, param: pb.TransformationParameter) -> tuple[Pixels | None, int]:
    """An encoded image or one of floats; None in its place if it is not whole."""
    datum = pb.Datum()
    datum.ParseFromString(bytes(value))
    if datum.encoded:
        return _decode(datum.data, param), datum.label
    shape = (datum.channels, datum.height, datum.width)
    if len(datum.float_data) == int(np.prod(shape)) > 0:
        return np.array(datum.float_data, np.float32).reshape(shape), datum.label
    return None, datum.label


def _decode(data: bytes, param: pb.TransformationParameter) -> npt.NDArray[np.uint8] | None:
    mode = cv2.IMREAD_UNCHANGED
    if param.force_color or param.force_gray:
        mode = cv2.IMREAD_COLOR if param.force_color else cv2.IMREAD_GRAYSCALE
    image = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    return None if image is None else planes(image)
