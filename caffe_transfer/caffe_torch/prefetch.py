"""Batches of images, made by background threads ahead of the net.

One thread walks the records and draws their crops, in order; a pool decodes them and cuts them into
batches.  The memory of batches is used again and again: to copy into fresh memory costs four times
as much.
"""

import os
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from caffe_transfer.caffe_torch.datum import Pixels, Record
from caffe_transfer.caffe_torch.transform import Image, Transformer, cut
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.resume import Arrays

_AHEAD = 4  # batches, as data_param's prefetch has it
_MOST_THREADS = 8


def threads_for(device: torch.device, *, encoded: bool) -> int:
    """How many threads make batches for a net on a device.

    On the CPU they compete with the net.  Raw images are copied in steps so short that more threads
    wait for the interpreter most of the time: on 16 cores one made 19,900 images/s, eight 11,500.
    """
    if device.type == "cpu" or not encoded:
        return 1
    return min(_MOST_THREADS, len(os.sched_getaffinity(0)))


class Batch(NamedTuple):
    """Images (batch, channels, height, width), uint8 or float32, cropped and mirrored.

    Labels are (batch,), int64; places (3, batch), int64, what `Transformer.apply` asks for.
    All of them are valid only within the context of `Prefetcher.next`.
    """

    images: Tensor
    labels: Tensor
    places: Tensor


class _Slot:
    """The memory of one batch, pinned for a GPU."""

    def __init__(self, batch: int, device: torch.device) -> None:
        self._device = device
        self._pinned = pinned = device.type == "cuda"
        self._bytes = torch.empty(0, dtype=torch.uint8)
        self.labels = torch.empty(batch, dtype=torch.int64, pin_memory=pinned)
        self.places = torch.empty(3, batch, dtype=torch.int64, pin_memory=pinned)
        self._sent: torch.cuda.Event | None = None

    def images(self, shape: tuple[int, ...], kind: torch.dtype) -> Tensor:
        """Room for images."""
        size = int(np.prod(shape)) * kind.itemsize
        if size > len(self._bytes):
            self._bytes = torch.empty(size, dtype=torch.uint8, pin_memory=self._pinned)
        return self._bytes[:size].view(kind).view(shape)

    def wait(self) -> None:
        """Wait until the GPU has copied the last batch, before anything is written."""
        if self._sent is not None:
            self._sent.synchronize()

    def sent(self) -> None:
        """Say that all copies to the GPU have been asked for."""
        if self._pinned:
            self._sent = torch.cuda.current_stream(self._device).record_event()


class Prefetcher:
    """Makes batches in the background until it is stopped.

    Attributes:
        mark: where the source was after the last batch that was taken, whatever was read ahead.
    """

    def __init__(
        self, source: Iterator[Record], batch: int, transformer: Transformer, threads: int,
        device: torch.device, marks: Callable[[], Arrays] = dict,
    ) -> None:  # fmt: skip
        """Start the threads.

        Args:
            threads: number of those that decode and cut.
            device: where batches are sent to; a GPU copies from pinned memory by itself.
            marks: says where the source is; called once for each batch.
        """
        self._source, self._batch, self._transformer = source, batch, transformer
        self._marks, self.mark = marks, marks()
        self._workers = ThreadPoolExecutor(threads, "decode")
        self._ready: queue.SimpleQueue[tuple[_Slot, Future[Batch], Arrays]] = queue.SimpleQueue()
        self._free: queue.SimpleQueue[_Slot | None] = queue.SimpleQueue()
        for _ in range(max(_AHEAD, threads)):
            self._free.put(_Slot(batch, device))
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
        slot, made, mark = self._ready.get()
        try:
            yield made.result()
            self.mark = mark
            self._transformer.take(self._batch)
            slot.sent()
        finally:
            self._free.put(slot)

    def stop(self) -> None:
        """Stop the threads and wait for them."""
        self._stop.set()
        self._free.put(None)
        self._thread.join()
        self._workers.shutdown(cancel_futures=True)

    def _work(self) -> None:
        mark = self.mark
        while (slot := self._free.get()) is not None and not self._stop.is_set():
            try:
                chosen = list(islice(self._source, self._batch))
                draws = self._transformer.draw(self._batch)
                mark = self._marks()
                made = self._workers.submit(self._make, slot, chosen, draws)
            except Exception as error:  # raised again where the batch is asked for
                made = Future()
                made.set_exception(error)
            self._ready.put((slot, made, mark))

    def _make(self, slot: _Slot, chosen: list[Record], draws: list[list[int]]) -> Batch:
        slot.wait()
        labels, places = slot.labels.numpy(), slot.places.numpy()
        pixels, labels[0] = chosen[0].decode()
        images = slot.images((len(chosen), *self._transformer.shape(pixels.shape)), _kind(pixels))
        checked: Image = ()
        for index, (record, drawn) in enumerate(zip(chosen, draws, strict=True)):
            if index:
                pixels, labels[index] = record.decode()
            if pixels.shape != checked:
                self._check(record, pixels, images)
                checked = pixels.shape
            if _kind(pixels).is_floating_point and not images.is_floating_point():
                images = images.float()
            crop = self._transformer.crop(checked, drawn)
            places[:, index] = self._transformer.place(crop, checked)
            cut(pixels, crop, images[index].numpy())
        return Batch(images, slot.labels, slot.places)

    def _check(self, record: Record, pixels: Pixels, images: Tensor) -> None:
        self._transformer.check(pixels.shape, record.name)
        shape = self._transformer.shape(pixels.shape)
        if shape != images.shape[1:]:
            raise BadInput(
                f"{record.name} has the shape {shape} and the first one of its batch "
                f"{tuple(images.shape[1:])}; rebuild the database with one size, or set crop_size"
            )


def _kind(pixels: Pixels) -> torch.dtype:
    return torch.uint8 if pixels.dtype == np.uint8 else torch.float32
