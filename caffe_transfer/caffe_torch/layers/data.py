"""Data and ImageData: images of an LMDB or of a list, round and round, as batches.

Threads read and decode ahead while the net works; crop, mirror, mean and scale are done where the
net is, so that a GPU is sent bytes and not floats.
"""

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
from torch import Tensor

from caffe_transfer.caffe_torch.datum import Pixels, Record, records
from caffe_transfer.caffe_torch.layers.base import Layer, Shape, to_channels_last
from caffe_transfer.caffe_torch.prefetch import Prefetcher
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.caffe_torch.transform import Transformer
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.datum import planes
from caffe_transfer.formats.proto import caffe_pb2 as pb


class _Images(Layer):
    """What both have in common (base_data_layer.cpp)."""

    bottom_count = (0, 0)
    top_count = (1, 2)

    def __init__(self, param: pb.LayerParameter, phase: int, rng: Rng) -> None:
        super().__init__(param, phase, rng)
        self._transformer = Transformer(param.transform_param, phase, rng)
        self._prefetcher: Prefetcher | None = None

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        # The generator is used in Caffe's order, so that all later draws are the same.
        self._transformer.init_rand()
        images = self._images()
        first = next(images)
        pixels, _ = first()
        self._transformer.init_rand()
        self.rng.one()
        shape = (pixels.shape[0], pixels.shape[1], pixels.shape[2])
        self._transformer.prepare(shape, self.device, self.param.name)
        self._prefetcher = Prefetcher(
            itertools.chain([first], images),
            self._batch,
            shape,
            self._transformer,
            for_gpu=self.device.type == "cuda",
        )
        tops: list[Shape] = [(self._batch, *self._transformer.shape(shape))]
        return tops if len(self.param.top) == 1 else [*tops, (self._batch,)]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        assert self._prefetcher is not None, "set_up comes first"
        with self._prefetcher.next() as batch:
            images = batch.images.to(self.device, non_blocking=True)
            tops = [to_channels_last(self._transformer.apply(images, batch.crops))]
            if len(self.param.top) == 2:
                tops.append(batch.labels.to(self.device, non_blocking=True))
        return tops

    def close(self) -> None:
        if self._prefetcher is not None:
            self._prefetcher.stop()

    @property
    def _batch(self) -> int:
        raise NotImplementedError

    def _images(self) -> Iterator[Record]:
        """The records, without end."""
        raise NotImplementedError


class Data(_Images):
    """data_layer.cpp, with LMDB as its database, read in the order of the keys."""

    @property
    def _batch(self) -> int:
        return self.param.data_param.batch_size

    def _images(self) -> Iterator[Record]:
        data = self.param.data_param
        if data.backend != pb.DataParameter.LMDB:
            raise self.refuse("reads a LevelDB, which is not supported; make an LMDB of it")
        # rand_skip stays unread, as in Caffe 1.0's own Data layer.
        return records(Path(data.source), self.param.transform_param)


class ImageData(_Images):
    """image_data_layer.cpp: lines "path label" of a list, shuffled where that is asked for."""

    @property
    def _batch(self) -> int:
        return self.param.image_data_param.batch_size

    def _images(self) -> Iterator[Record]:
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
    ) -> Iterator[Record]:
        while True:
            for name, label in lines[at:]:
                yield partial(self._read, name, label)
            at = 0
            if shuffler:
                _shuffle(lines, shuffler)

    def _read(self, name: str, label: int) -> tuple[Pixels, int]:
        given = self.param.image_data_param
        mode = cv2.IMREAD_COLOR if given.is_color else cv2.IMREAD_GRAYSCALE
        image = cv2.imread(given.root_folder + name, mode)
        if image is None:
            raise self.refuse(f"cannot read the image {given.root_folder + name}")
        if given.new_height:
            image = cv2.resize(image, (given.new_width, given.new_height))
        return planes(image), label


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
