"""Sources other than images: Input, DummyData, HDF5Data, MemoryData."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from caffe_transfer.caffe_torch import fillers
from caffe_transfer.caffe_torch.layers.base import Layer, to_channels_last
from caffe_transfer.caffe_torch.rng import set_twister, twister_state
from caffe_transfer.formats.hdf5 import check_own, open_hdf5
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.resume import Arrays, number, part, under, vector
from caffe_transfer.nets.shapes import Shape, infer
from caffe_transfer.reading import reading


class Input(Layer):
    """input_layer.cpp: blobs that a program fills; zeros until then.

    Attributes:
        values: the tops; replace them to feed the net.
    """

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        self.values = [to_channels_last(torch.zeros(shape, device=self.device)) for shape in tops]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        return list(self.values)


class DummyData(Layer):
    """dummy_data_layer.cpp: constants, filled once, and random numbers, filled every time."""

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        self._shapes, count = tops, len(tops)
        given = list(self.param.dummy_data_param.data_filler)
        if len(given) not in (0, 1, count):
            raise self.refuse(f"has {len(given)} fillers for {count} tops")
        constant = pb.FillerParameter(type="constant")
        self._fillers = given if len(given) == count else (given or [constant]) * count
        self._tops = [
            self._fill(filler, shape) if filler.type == "constant" else torch.empty(0)
            for filler, shape in zip(self._fillers, tops, strict=True)
        ]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        return [
            top if filler.type == "constant" else self._fill(filler, shape)
            for top, filler, shape in zip(self._tops, self._fillers, self._shapes, strict=True)
        ]

    def _fill(self, filler: pb.FillerParameter, shape: Shape) -> Tensor:
        values = fillers.fill(filler, shape, self.rng, self.param.name)
        return to_channels_last(torch.from_numpy(values).to(self.device))


class HDF5Data(Layer):
    """hdf5_data_layer.cpp: rows of the files named in a list; one dataset per top."""

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        given = self.param.hdf5_data_param
        remedy = f"correct it, or the source of layer {self.param.name!r}"
        with reading(given.source, "a list of HDF5 files", remedy, missing=remedy):
            self._files = Path(given.source).read_text().split()
        if not self._files:
            raise self.refuse(f"has a list, {given.source}, that names no file")
        # Caffe shuffles with the C library's generator, which cannot be reproduced.
        self._random = np.random.MT19937()
        self._blobs: list[npt.NDArray[np.float32]] = []
        self._order = self._shuffled(len(self._files))
        self._open(0)
        items = [blob.shape[1:] for blob in self._blobs]
        return list(infer(self.param, bottoms, items).tops)

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        rows = [self._next() for _ in range(self.param.hdf5_data_param.batch_size)]
        return [
            torch.from_numpy(np.stack(column)).to(self.device)
            for column in zip(*rows, strict=True)
        ]  # fmt: skip

    def state(self) -> Arrays:
        """The orders of files and rows, the places in both, and the generator."""
        return {
            "order": self._order, "file": np.array(self._file),
            "rows": self._rows, "row": np.array(self._row),
        } | under("random", twister_state(self._random))  # fmt: skip

    def restore(self, state: Arrays) -> None:
        self._order = _order(vector(state, "order", np.uint32), len(self._files))
        self._open(number(state, "file"))
        self._rows = _order(vector(state, "rows", np.uint32), len(self._blobs[0]))
        self._row = number(state, "row")
        if not 0 <= self._row <= len(self._rows):
            raise ValueError(f"there is no row {self._row} of {len(self._rows)}")
        set_twister(self._random, part(state, "random"))

    def _next(self) -> tuple[np.ndarray, ...]:
        if self._row == len(self._rows):
            following = (self._file + 1) % len(self._order)
            if not following:
                self._order = self._shuffled(len(self._order))
            self._open(following)
        row = self._rows[self._row]
        self._row += 1
        return tuple(blob[row] for blob in self._blobs)

    def _open(self, file: int) -> None:
        """Go to the first row of the file of this place in the order."""
        self._file, self._row = file, 0
        self._blobs = self._load(self._files[self._order[file]])
        self._rows = self._shuffled(len(self._blobs[0]))

    def _shuffled(self, count: int) -> npt.NDArray[np.uint32]:
        order = np.arange(count, dtype=np.uint32)
        if self.param.hdf5_data_param.shuffle:
            np.random.Generator(self._random).shuffle(order)
        return order

    def _load(self, name: str) -> list[np.ndarray]:
        kind = f"HDF5 file with the tops of layer {self.param.name!r}"
        with open_hdf5(Path(name), kind, "correct it, or the list") as file:
            for top in self.param.top:
                check_own(file[top])
            blobs = [np.asarray(file[top], np.float32) for top in self.param.top]
            rows = {len(blob) for blob in blobs}
        if len(rows) != 1 or not rows.pop():
            raise self.refuse(f"needs the same number of rows in all datasets of {name}")
        return blobs


class MemoryData(Layer):
    """memory_data_layer.cpp: batches that a program sets."""

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        self.values: list[Tensor] = []

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        if not self.values:
            raise self.refuse(
                "is filled by a program, and none has done so; read an LMDB by a Data layer instead"
            )
        return self.values


def _order(given: npt.NDArray[np.uint32], count: int) -> npt.NDArray[np.uint32]:
    """An order of so many things that was kept.

    Raises:
        ValueError: it is none, or of another number.
    """
    if not np.array_equal(np.sort(given), np.arange(count)):
        raise ValueError(f"it is an order of {len(given)} things, not of {count}")
    return given
