"""Batches of images, made by background threads ahead of the net.

One thread walks the records and draws their crops, in order; a pool decodes them and copies them
into batches.
"""

import os
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from caffe_transfer.caffe_torch.datum import Record
from caffe_transfer.caffe_torch.transform import Crops, Transformer
from caffe_transfer.errors import BadInput

_AHEAD = 4  # batches, as data_param's prefetch has it
_MOST_THREADS = 8


class Batch(NamedTuple):
    """Images (batch, channels, height, width), uint8 or float32; labels (batch,), int64; crops."""

    images: Tensor
    labels: Tensor
    crops: Crops


class Prefetcher:
    """Makes batches in the background until it is stopped."""

    def __init__(
        self, source: Iterator[Record], batch: int, shape: tuple[int, int, int],
        transformer: Transformer, for_gpu: bool,
    ) -> None:  # fmt: skip
        """Start the threads.

        Args:
            shape: (channels, height, width) of the images.
            for_gpu: make batches in pinned memory, with several threads instead of one.
        """
        self._source, self._batch, self._shape = source, batch, shape
        self._transformer, self._for_gpu = transformer, for_gpu
        threads = min(_MOST_THREADS, len(os.sched_getaffinity(0))) if for_gpu else 1
        self._workers = ThreadPoolExecutor(threads, "decode")
        self._ready: queue.SimpleQueue[Future[Batch]] = queue.SimpleQueue()
        self._room = threading.Semaphore(max(_AHEAD, threads))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="data", daemon=True)
        self._thread.start()

    @contextmanager
    def next(self) -> Iterator[Batch]:
        """The next batch, for use within the context.

        Only after it may the threads begin another one: they would compete for the interpreter with
        the short steps at the start of a batch.

        Raises:
            CaffeTransferError: a record cannot be read.
        """
        try:
            yield self._ready.get().result()
        finally:
            self._room.release()

    def stop(self) -> None:
        """Stop the threads and wait for them."""
        self._stop.set()
        self._room.release()
        self._thread.join()
        self._workers.shutdown(cancel_futures=True)

    def _work(self) -> None:
        _, height, width = self._shape
        while self._room.acquire() and not self._stop.is_set():
            try:
                chosen = list(islice(self._source, self._batch))
                crops = self._transformer.draw(self._batch, height, width)
                made = self._workers.submit(self._make, chosen, crops)
            except BadInput as error:
                made = Future()
                made.set_exception(error)
            self._ready.put(made)

    def _make(self, chosen: list[Record], crops: Crops) -> Batch:
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
                    "rebuild the database with one size"
                )
            into[index] = pixels
        return Batch(images, labels, crops)
