"""Data and ImageData: images of an LMDB or of a list, round and round, as batches.

A thread reads and decodes ahead while the net works; crop, mirror, mean and scale are done where
the net is, so that a GPU is sent bytes and not floats.
"""

import itertools
import queue
import threading
from collections.abc import Iterator, Sequence
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

from caffe_transfer.caffe_torch.layers.base import Layer, Shape, in_fast_order
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.caffe_torch.transform import Transformer, Views
from caffe_transfer.errors import BadInput, CaffeTransferError
from caffe_transfer.proto import caffe_pb2 as pb
from data_prep.lmdbs import open_lmdb

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


_OPEN: WeakValueDictionary[Path, lmdb.Environment] = WeakValueDictionary()
AHEAD = 4  # batches, as data_param's prefetch has it


class Batch(NamedTuple):
    """Images (batch, channels, height, width), labels (batch,), and how each is to be seen."""

    images: Tensor
    labels: Tensor
    views: Views


class _Images(Layer):
    """What both have in common (base_data_layer.cpp)."""

    bottom_count = (0, 0)
    top_count = (1, 2)

    def __init__(self, param: pb.LayerParameter, phase: int, rng: Rng) -> None:
        super().__init__(param, phase, rng)
        self._transformer = Transformer(param.transform_param, phase, rng)
        self._reader: _Reader | None = None

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        # The generator is used in Caffe's order, so that all later draws are the same.
        self._transformer.init_rand()
        images = self._images()
        first = next(images)
        self._transformer.init_rand()
        self.rng.one()
        shape = (first[0].shape[0], first[0].shape[1], first[0].shape[2])
        self._transformer.prepare(shape, self.device, self.param.name)
        images = itertools.chain([first], images)
        pinned = self.device.type == "cuda"
        self._reader = _Reader(images, self._batch, self._transformer, pinned)
        tops: list[Shape] = [(self._batch, *self._transformer.shape(shape))]
        return tops if len(self.param.top) == 1 else [*tops, (self._batch,)]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        assert self._reader is not None, "set_up comes first"
        batch = self._reader.next()
        images = batch.images.to(self.device, non_blocking=True)
        seen = self._transformer.apply(images, batch.views)
        tops = [in_fast_order(seen)]
        if len(self.param.top) == 2:
            tops.append(batch.labels.to(self.device, non_blocking=True))
        return tops

    def close(self) -> None:
        if self._reader is not None:
            self._reader.stop()

    @property
    def _batch(self) -> int:
        raise NotImplementedError

    def _images(self) -> Iterator[tuple[Pixels, int]]:
        """Image (channels, height, width) and label, without end."""
        raise NotImplementedError


class Data(_Images):
    """data_layer.cpp, with LMDB as its database, read in the order of the keys."""

    @property
    def _batch(self) -> int:
        return self.param.data_param.batch_size

    def _images(self) -> Iterator[tuple[Pixels, int]]:
        data = self.param.data_param
        if data.backend != pb.DataParameter.LMDB:
            raise self.refuse("reads a LevelDB, which is not supported; make an LMDB of it")
        # rand_skip stays unread, as in Caffe 1.0's own Data layer.
        return _records(Path(data.source), self.param.transform_param)


class ImageData(_Images):
    """image_data_layer.cpp: lines "path label" of a list, shuffled where that is asked for."""

    @property
    def _batch(self) -> int:
        return self.param.image_data_param.batch_size

    def _images(self) -> Iterator[tuple[Pixels, int]]:
        """The images; the list is shuffled and skipped in with this layer's own draws."""
        given = self.param.image_data_param
        lines = _read_list(Path(given.source))
        shuffler = Rng(self.rng.one()) if given.shuffle else None
        if shuffler:
            _shuffle(lines, shuffler)
        skip = self.rng.one() % given.rand_skip if given.rand_skip else 0
        return self._from(lines, skip, shuffler)

    def _from(
        self, lines: list[tuple[str, int]], at: int, shuffler: Rng | None
    ) -> Iterator[tuple[Pixels, int]]:
        while True:
            for name, label in lines[at:]:
                yield self._read(name), label
            at = 0
            if shuffler:
                _shuffle(lines, shuffler)

    def _read(self, name: str) -> Pixels:
        given = self.param.image_data_param
        mode = cv2.IMREAD_COLOR if given.is_color else cv2.IMREAD_GRAYSCALE
        image = cv2.imread(given.root_folder + name, mode)
        if image is None:
            raise self.refuse(f"cannot read the image {given.root_folder + name}")
        if given.new_height:
            image = cv2.resize(image, (given.new_width, given.new_height))
        image = image[:, :, None] if image.ndim == 2 else image
        return np.ascontiguousarray(image.transpose(2, 0, 1), np.uint8)


def _read_list(path: Path) -> list[tuple[str, int]]:
    try:
        rows = [line.rpartition(" ") for line in path.read_text().splitlines()]
        lines = [(name, int(label)) for name, _, label in rows]
    except (OSError, ValueError) as error:
        raise BadInput(f'{path} is no list of "path label" lines: {error}') from error
    if not lines:
        raise BadInput(f"{path} lists no images")
    return lines


def _shuffle(lines: list[tuple[str, int]], rng: Rng) -> None:
    """caffe::shuffle: Fisher and Yates from the end."""
    for last in range(len(lines) - 1, 0, -1):
        other = rng.below(last + 1)
        lines[last], lines[other] = lines[other], lines[last]


class _Reader:
    """A thread that makes batches until it is stopped, a few ahead."""

    def __init__(
        self,
        records: Iterator[tuple[Pixels, int]],
        batch: int,
        transformer: Transformer,
        pinned: bool,
    ) -> None:
        self._records, self._batch, self._transformer = records, batch, transformer
        self._pinned = pinned
        self._ready: queue.Queue[Batch | CaffeTransferError] = queue.Queue(AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="data", daemon=True)
        self._thread.start()

    def next(self) -> Batch:
        """The next batch.

        Raises:
            CaffeTransferError: a record could not be read.
        """
        found = self._ready.get()
        if isinstance(found, CaffeTransferError):
            raise found
        return found

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._ready.get_nowait()
            except queue.Empty:
                self._thread.join(0.01)

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                found: Batch | CaffeTransferError = self._make()
            except CaffeTransferError as error:
                found = error
            self._ready.put(found)
            if isinstance(found, CaffeTransferError):
                return

    def _make(self) -> Batch:
        images, labels = zip(*(next(self._records) for _ in range(self._batch)), strict=True)
        if len({image.shape for image in images}) > 1:
            raise BadInput("the records of one batch differ in size; write the database anew")
        stacked = torch.from_numpy(np.stack(images))
        views = self._transformer.draw(self._batch, *images[0].shape[1:])
        targets = torch.tensor(labels)
        if self._pinned:
            stacked, targets = stacked.pin_memory(), targets.pin_memory()
        return Batch(stacked, targets, views)


def _records(
    path: Path, param: pb.TransformationParameter
) -> Iterator[tuple[Pixels, int]]:  # fmt: skip
    """Image (channels, height, width) and label of each record, again and again, without end.

    Raises:
        FormatError: there is no such database.
        BadInput: it is empty, or a record is no image.
    """
    environment = _environment(path.resolve())
    while True:
        empty = True
        with environment.begin() as reading:
            for key, value in reading.cursor():
                empty = False
                yield _read(path, key, value, param)
        if empty:
            raise BadInput(f"{path} is an empty database; make it with `data lmdb`")


def _environment(path: Path) -> lmdb.Environment:
    """A database that several layers may read: LMDB opens a file once in a process."""
    found = _OPEN.get(path)
    if found is None:
        found = _OPEN[path] = open_lmdb(path)
    return found


def _read(
    path: Path, key: bytes, value: bytes, param: pb.TransformationParameter
) -> tuple[Pixels, int]:
    datum = pb.Datum()
    try:
        datum.ParseFromString(value)
    except DecodeError as error:
        raise BadInput(f"record {key!r} of {path} is no Datum; write the database anew") from error
    shape = (datum.channels, datum.height, datum.width)
    if datum.encoded:
        pixels: Pixels | None = _decode(datum.data, param)
    elif datum.data and len(datum.data) == int(np.prod(shape)):
        pixels = np.frombuffer(datum.data, np.uint8).reshape(shape)
    elif len(datum.float_data) == int(np.prod(shape)) > 0:
        pixels = np.array(datum.float_data, np.float32).reshape(shape)
    else:
        pixels = None
    if pixels is None:
        raise BadInput(f"record {key!r} of {path} holds no whole image; write the database anew")
    return pixels, datum.label


def _decode(data: bytes, param: pb.TransformationParameter) -> npt.NDArray[np.uint8] | None:
    mode = cv2.IMREAD_UNCHANGED
    if param.force_color or param.force_gray:
        mode = cv2.IMREAD_COLOR if param.force_color else cv2.IMREAD_GRAYSCALE
    image = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    if image is None:
        return None
    image = image[:, :, None] if image.ndim == 2 else image
    return np.ascontiguousarray(image.transpose(2, 0, 1), np.uint8)
