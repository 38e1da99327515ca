"""Data and ImageData: batches of images from an LMDB or a list, without end.

Threads read, decode and cut ahead while the net works.  Mean and scale run on the net's device, so
that a GPU is sent bytes and not floats.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from torch import Tensor

from caffe_transfer.caffe_torch.datum import Database, Pixels, Record, Source
from caffe_transfer.caffe_torch.layers.base import Layer, to_channels_last
from caffe_transfer.caffe_torch.prefetch import Prefetcher, threads_for
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.caffe_torch.transform import Transformer
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.datum import planes
from caffe_transfer.formats.images import decode_image
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.resume import Arrays, number, part, under, vector
from caffe_transfer.nets.shapes import Shape, infer, refuse
from caffe_transfer.reading import reading


class _Images(Layer):
    """Base of both (base_data_layer.cpp)."""

    def __init__(self, param: pb.LayerParameter, phase: int, rng: Rng) -> None:
        super().__init__(param, phase, rng)
        self._transformer = Transformer(param.transform_param, phase, rng)
        self._prefetcher: Prefetcher | None = None

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        # Draws in Caffe's order, so that all later draws are the same.
        self._transformer.init_rand()
        self._source = self._opened()
        first = self._source.peek()
        pixels, _ = first.decode()
        self._transformer.init_rand()
        self.rng.one()
        self._transformer.prepare(pixels.shape, self.device, self.param.name)
        items: list[Shape] = [self._transformer.shape(pixels.shape), ()]
        tops = infer(self.param, bottoms, items[: len(self.param.top)]).tops
        self._batch = tops[0][0]
        self._threads = threads_for(self.device, encoded=first.is_encoded)
        self._prefetcher = self._started()
        return list(tops)

    def _started(self) -> Prefetcher:
        return Prefetcher(
            self._source, self._batch, self._transformer, self._threads, self.device,
            self._source.state,
        )  # fmt: skip

    def state(self) -> Arrays:
        """Place and generators after the last batch that `forward` gave."""
        assert self._prefetcher is not None, "set_up comes first"
        transformer = self._transformer.state()
        return under("source", self._prefetcher.mark) | under("transformer", transformer)

    def restore(self, state: Arrays) -> None:
        assert self._prefetcher is not None, "set_up comes first"
        self._prefetcher.stop()
        self._source.restore(part(state, "source"))
        self._transformer.restore(part(state, "transformer"))
        self._prefetcher = self._started()

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        assert self._prefetcher is not None, "set_up comes first"
        with self._prefetcher.next() as batch:
            images = batch.images.to(self.device, non_blocking=True)
            tops = [to_channels_last(self._transformer.apply(images, batch.places))]
            if len(self.param.top) == 2:
                tops.append(batch.labels.to(self.device, non_blocking=True, copy=True))
        return tops

    def close(self) -> None:
        if self._prefetcher is not None:
            self._prefetcher.stop()
            self._source.close()

    def _opened(self) -> Source:
        """The records, without end; may draw from the generator."""
        raise NotImplementedError


class Data(_Images):
    """data_layer.cpp over an LMDB, read in key order."""

    def _opened(self) -> Source:
        data = self.param.data_param
        if data.backend != pb.DataParameter.LMDB:
            raise self.refuse("reads a LevelDB, which is not supported; make an LMDB of it")
        # Caffe 1.0's Data layer ignores rand_skip too.
        return Database(Path(data.source), self.param.transform_param)


class ImageData(_Images):
    """image_data_layer.cpp: images named by "path label" lines, shuffled if `shuffle` is set."""

    def _opened(self) -> Source:
        """The images, without end; shuffle and rand_skip draw from the generator as Caffe does."""
        given = self.param.image_data_param
        if (given.new_height > 0) != (given.new_width > 0):
            raise self.refuse("sets only one of new_height and new_width; set both or none")
        lines = _read_list(Path(given.source))
        shuffler = Rng(self.rng.one()) if given.shuffle else None
        skip = self.rng.one() % given.rand_skip if given.rand_skip else 0
        return _List(self.param, lines, skip, shuffler)


class _List:
    """The images of a list, over and over, each time in another order if there is a shuffler."""

    def __init__(
        self, layer: pb.LayerParameter, lines: list[tuple[str, int]], skip: int,
        shuffler: Rng | None,
    ) -> None:  # fmt: skip
        self._layer, self._lines, self._place, self._shuffler = layer, lines, skip, shuffler
        self._order = np.arange(len(lines), dtype=np.uint32)
        self._shuffled: Arrays = {}  # the shuffler's state, which takes long to make
        self._shuffle()

    def peek(self) -> Record:
        if self._place >= len(self._order):
            self._place = 0
            self._shuffle()
        return _Listed(self._layer, *self._lines[self._order[self._place]])

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        record = self.peek()
        self._place += 1
        return record

    def state(self) -> Arrays:
        """The place, the order of the lines, and the shuffler's state."""
        return {"place": np.array(self._place), "order": self._order, **self._shuffled}

    def restore(self, state: Arrays) -> None:
        place, order = number(state, "place"), vector(state, "order", np.uint32)
        if not np.array_equal(np.sort(order), np.arange(len(self._lines))) or place < 0:
            raise ValueError(
                f"{self._layer.image_data_param.source} has {len(self._lines)} lines, "
                f"and had {len(order)}"
            )
        self._place, self._order = place, order
        if self._shuffler is not None:
            self._shuffler.restore(part(state, "shuffler"))
            self._shuffled = under("shuffler", self._shuffler.state())

    def close(self) -> None:
        pass  # each image is read by itself

    def _shuffle(self) -> None:
        """caffe::shuffle: Fisher-Yates, from the end, into a new array."""
        if self._shuffler is None:
            return
        order = self._order.tolist()
        for last in range(len(order) - 1, 0, -1):
            other = self._shuffler.below(last + 1)
            order[last], order[other] = order[other], order[last]
        self._order = np.array(order, np.uint32)
        self._shuffled = under("shuffler", self._shuffler.state())


class _Listed(NamedTuple):
    """An image that a line of a list names."""

    layer: pb.LayerParameter
    file: str
    label: int

    @property
    def name(self) -> str:
        return f"the image {self.layer.image_data_param.root_folder + self.file}"

    @property
    def is_encoded(self) -> bool:
        return True

    def decode(self) -> tuple[Pixels, int]:
        given = self.layer.image_data_param
        mode = cv2.IMREAD_COLOR if given.is_color else cv2.IMREAD_GRAYSCALE
        path = Path(given.root_folder + self.file)
        with reading(path, "an image that OpenCV decodes", "take it out of the list"):
            image = decode_image(path.read_bytes(), mode)
            if image is not None and given.new_height:
                image = cv2.resize(image, (given.new_width, given.new_height))
        if image is None:
            raise refuse(self.layer, f"cannot decode {self.name}")
        return planes(image), self.label


def _read_list(path: Path) -> list[tuple[str, int]]:
    remedy = "correct it, or the source of the ImageData layer"
    with reading(path, 'a list of "path label" lines', remedy, missing=remedy):
        rows = [line.rpartition(" ") for line in path.read_text().splitlines()]
        lines = [(name, int(label)) for name, _, label in rows]
    if not lines:
        raise BadInput(f"{path} lists no images")
    return lines
