"""The host's side of a training step: from an LMDB to batches, part by part.

cursor, page touch                  the least that reading a record costs
view, half or tenth                 the same of every second or tenth record
copies, draws, mean and scale       the parts of a batch, each by itself
whole batches                       through the threads that a net uses
index array and gather              the way before: whole images into fresh memory, one index array
                                    a batch made on the host, cropped and mirrored by a gather
memcpy                              the limit: what copying the bytes of a crop costs

python -m benchmarks.reading        under a minute; --batch 4 --images 8 --batches 2 tries it
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import lmdb
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks import timing
from caffe_transfer.allocator import keep_memory
from caffe_transfer.caffe_torch import datum
from caffe_transfer.caffe_torch.datum import Record
from caffe_transfer.caffe_torch.layers.base import to_channels_last
from caffe_transfer.caffe_torch.prefetch import Prefetcher
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.caffe_torch.transform import Transformer, cut
from caffe_transfer.formats.datum import datum as serialized
from caffe_transfer.formats.lmdb import open_lmdb
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.views import View, identity_of, write_view

IMAGE, CROP = (3, 256, 256), 227
CROP_BYTES = IMAGE[0] * CROP**2
PAGE = 4096
AHEAD = 4  # batches that threads make before they are asked for
COPIED = 1 << 28  # beyond any cache
TRANSFORM = pb.TransformationParameter(
    crop_size=CROP, mirror=True, mean_value=[104, 117, 123], scale=0.5
)


def main(batch: int, images: int, batches: int, threads: int, folder: Path) -> None:
    """Print the table."""
    write(folder / "lmdb", images)
    limit = 1e6 * CROP_BYTES / memcpy()
    parts = parts_of_a_batch(folder / "lmdb", batch, batches)
    keep_memory()  # as in a training; above, fresh memory is what a process gets by default
    parts |= whole_batches(folder / "lmdb", batch, batches, threads)
    rows = [
        (what, f"{spent:.2f}", f"{1e6 / spent:,.0f}", f"{limit / spent:.0%}")
        for what, spent in {**parts, "memcpy of a crop": limit}.items()
    ]
    print(f"{timing.processor()}; memcpy {CROP_BYTES / limit / 1e3:.1f} GB/s; {threads} threads")
    print(f"batch {batch}, {'x'.join(map(str, IMAGE))} cropped to {CROP}, mirrored\n")
    print(timing.table(("what", "us an image", "images/s", "of memcpy"), rows))


def write(path: Path, images: int) -> None:
    """Write a database of random raw images."""
    random = np.random.default_rng(0)
    with (
        lmdb.open(str(path), map_size=1 << 40, writemap=False) as environment,
        environment.begin(write=True) as writing,
    ):
        for number in range(images):
            pixels = random.integers(0, 256, IMAGE, np.uint8)
            writing.put(f"{number:08}_{number}.png".encode(), serialized(pixels, number % 1000))


def view(path: Path, step: int) -> Path:
    """A view of some records, evenly spread."""
    found = path.with_name(f"view-{step}")
    with open_lmdb(path) as environment, environment.begin() as transaction:
        count = int(transaction.stat()["entries"])
        numbers = np.arange(0, count, step).astype(np.uint32)
        labels, gaps = numbers.astype(np.int32) % 500, numbers[:0]
        made = View(found, path, identity_of(path, transaction), numbers, labels, gaps)
    found.mkdir()
    write_view(made, found)
    return found


def parts_of_a_batch(path: Path, batch: int, batches: int) -> dict[str, float]:
    """Microseconds an image of each part."""
    transformer = prepared()
    source = datum.records(path, TRANSFORM)
    kept = np.zeros((batch, *IMAGE), np.uint8)
    cuts = np.zeros((batch, IMAGE[0], CROP, CROP), np.uint8)

    def touch(chosen: list[Record]) -> None:
        for record in chosen:
            record.decode()[0].reshape(-1)[::PAGE].max()

    def copy(chosen: list[Record], into: npt.NDArray[np.uint8]) -> None:
        for index, record in enumerate(chosen):
            into[index] = record.decode()[0]

    def crop(chosen: list[Record]) -> None:
        for index, (record, drawn) in enumerate(
            zip(chosen, transformer.draw(batch), strict=True)
        ):  # fmt: skip
            cut(record.decode()[0], transformer.crop(IMAGE, drawn), cuts[index])

    def read() -> list[Record]:
        return list(itertools.islice(source, batch))

    touch(read() * 2)  # the file is in memory from here on
    halved, tenth = (datum.records(view(path, step), TRANSFORM) for step in (2, 10))

    def touch_next(part: Iterator[Record]) -> None:
        touch(list(itertools.islice(part, batch)))

    touch_next(halved)
    each: dict[str, Callable[[], object]] = {
        "view, half": partial(touch_next, halved),
        "view, tenth": partial(touch_next, tenth),
        "cursor": read,
        "cursor, page touch": lambda: touch(read()),
        "cursor, copy into kept memory": lambda: copy(read(), kept),
        "cursor, copy into fresh memory": lambda: copy(read(), np.empty_like(kept)),
        "cursor, crop and mirror into kept memory": lambda: crop(read()),
        "draws of crops": lambda: transformer.draw(batch),
    }
    return {what: median(part, batches) / batch for what, part in each.items()}


def whole_batches(path: Path, batch: int, batches: int, threads: int) -> dict[str, float]:
    """Microseconds an image of whole batches, now and before."""
    cuda = torch.cuda.is_available()
    cuts, places = (
        torch.zeros(batch, IMAGE[0], CROP, CROP, dtype=torch.uint8),
        torch.zeros(3, batch),
    )
    mean_and_scale = partial(prepared().apply, cuts, places.long())
    found = {"mean and scale, on the CPU": median(mean_and_scale, batches) / batch}
    for what, count, device in (
        ("batches for a GPU", threads, "cuda" if cuda else "host"),
        ("batches for the CPU, mean and scale", 1, "cpu"),
    ):
        transformer = prepared(device if device == "cuda" else "cpu")
        source = datum.records(path, TRANSFORM)
        to = torch.device("cuda" if device == "cuda" else "cpu")
        prefetcher = Prefetcher(source, batch, transformer, count, to)

        def take(
            prefetcher: Prefetcher = prefetcher, transformer: Transformer = transformer,
            device: str = device,
        ) -> None:  # fmt: skip
            with prefetcher.next() as made:
                if device != "host":
                    images = made.images.to(device, non_blocking=True)
                    to_channels_last(transformer.apply(images, made.places))
            if device == "cuda":
                torch.cuda.synchronize()

        try:
            found[what] = median(take, batches, mean=True) / batch
        finally:
            prefetcher.stop()
    for what, gathers in (("for a GPU", False), ("for the CPU", True)):
        made = before(path, batch, 1 if gathers else threads, gathers)
        spent = median(partial(next, made), batches, mean=True)
        found[f"before: index array, {what}"] = spent / batch
    return found


def before(path: Path, batch: int, threads: int, gathers: bool) -> Iterator[Tensor]:
    """Batches as they were made before; without the gather where a GPU would do it."""
    transformer, source = prepared(), datum.records(path, TRANSFORM)

    def whole(chosen: list[Record]) -> Tensor:
        images = torch.empty((batch, *IMAGE), dtype=torch.uint8)
        into = images.numpy()
        for index, record in enumerate(chosen):
            into[index] = record.decode()[0]
        return images

    with ThreadPoolExecutor(threads) as workers:
        ahead = [
            workers.submit(whole, list(itertools.islice(source, batch))) for _ in range(AHEAD)
        ]  # fmt: skip
        while True:
            images = ahead.pop(0).result()
            index = index_array(transformer, batch)
            if gathers:
                flat = index.expand(-1, IMAGE[0], -1)
                cuts = images.view(batch, IMAGE[0], -1).gather(2, flat).float()
                mean = torch.tensor(list(TRANSFORM.mean_value)).view(1, -1, 1)
                values = ((cuts - mean) * TRANSFORM.scale).view(batch, IMAGE[0], CROP, CROP)
                yield to_channels_last(values)
            else:
                yield index
            ahead.append(workers.submit(whole, list(itertools.islice(source, batch))))


def index_array(transformer: Transformer, batch: int) -> Tensor:
    """The pixels of all crops, (batch, 1, crop * crop), int64."""
    crops = [transformer.crop(IMAGE, drawn) for drawn in transformer.draw(batch)]
    rows = np.array([crop.row for crop in crops])[:, None] + np.arange(CROP)
    mirrored = np.array([crop.mirrored for crop in crops])
    columns = np.arange(CROP)[None].repeat(batch, 0)
    columns[mirrored] = columns[mirrored, ::-1]
    columns += np.array([crop.column for crop in crops])[:, None]
    return torch.from_numpy(rows[:, :, None] * IMAGE[2] + columns[:, None, :]).view(batch, 1, -1)


def prepared(device: str = "cpu") -> Transformer:
    """A transformer of a training, with a seed."""
    transformer = Transformer(TRANSFORM, pb.TRAIN, Rng(1))
    transformer.init_rand()
    transformer.prepare(IMAGE, torch.device(device), "data")
    return transformer


def memcpy() -> float:
    """Bytes a second that one thread copies."""
    source, into = np.ones(COPIED, np.uint8), np.ones(COPIED, np.uint8)
    return 1e6 * COPIED / median(lambda: np.copyto(into, source), 5)


def median(part: Callable[[], Any], times: int, mean: bool = False) -> float:
    """Median duration in microseconds; with `mean`, of calls that take what threads made ahead."""
    for _ in range(1 + AHEAD * mean):
        part()
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        part()
        spent.append(time.perf_counter() - start)
    return 1e6 * (statistics.mean if mean else statistics.median)(spent)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        main(given.batch, given.images, given.batches, given.threads, Path(scratch))
