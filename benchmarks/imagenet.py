"""The data of the study `paper` at full size: lists made, databases sampled and extrapolated.

python -m benchmarks.imagenet [--photographs DIR] [--images 1331167] [--sample 3000] [--scratch DIR]

A fake ILSVRC2012 is made of hard links to some photographs: of DIR, else Tiny ImageNet's images of
$CAFFE_TRANSFER_SHARED scaled up to 500x375, with grain that makes the files as large as
photographs of ILSVRC2012 are, 105 kB, else noise.  Its lists are made by the commands that a
user calls, all of them.  Of the databases a sample is converted, by us and by convert_imageset,
next to the limits: decoding and resizing by all cores, and a copy of the database; and it is copied
record by record, as Caffe needs it for parts of the whole.
"""

import argparse
import math
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks import timing
from benchmarks.timing import Cost
from caffe_transfer import paths
from caffe_transfer.allocator import keep_some_memory
from caffe_transfer.data_prep import lists, lmdbs
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.plan import data_sets, part_of
from caffe_transfer.data_prep.splits import ilsvrc12_synsets, whole_of
from caffe_transfer.data_prep.views import Base
from caffe_transfer.paths import DataFolder
from caffe_transfer.studies.load import load_study

TRAIN, VALID = 1_281_167, 50_000
SIZE, WIDTH, HEIGHT, QUALITY, GRAIN = 256, 500, 375, 95, 10
PHOTOGRAPHS = 600  # a file system allows some ten thousand links to one file
ROUNDS = 3
ENDINGS = (".jpg", ".jpeg")
TINY = "tiny-imagenet-200-subset.zip"
TOOL = "caffe-transfer data"
PEER = "convert_imageset"
LIMIT = "decode and resize, all cores"
FROM_VIEW = "caffe-transfer data lmdb --from-view"
BY_TORCH, BY_CAFFE = "caffe-transfer run, caffe-torch", "caffe-transfer run, caffe"
COPY = "cp of the database, synced"
START = ", start"


@dataclass(frozen=True)
class Way:
    """A way of making records.

    Attributes:
        rate: images a second.
        cpu: milliseconds of an image, on all cores together.
        record: bytes.
        memory: MiB.
    """

    rate: float
    cpu: float
    record: float
    memory: float


def main(given: Path | None, images: int, sample: int, rounds: int, scratch: Path) -> None:
    """Print the tables."""
    photographs = write_photographs(given, scratch / "photographs")
    kilobytes = sum(each.stat().st_size for each in photographs) / len(photographs) / 1000
    print(f"{timing.processor()}; {len(photographs)} photographs of {kilobytes:.0f} kB\n")
    apart(write_fake, scratch / "fake", photographs, images)
    costs = list_costs(scratch)
    print(f"Lists of {images} images:\n")
    print(timing.table(("", "seconds", "peak MiB"), [(n, c.wall, c.memory) for n, c in costs]))
    apart(write_sample, scratch, sample)
    taken = lists.count(scratch / "sample.txt")
    found = converted(scratch, taken, rounds)
    ways = {name: way(found, name, taken, scratch) for name in found if not name.endswith(START)}
    print(f"\nA database of {taken} images:\n")
    head = ("", "images/s", "of the limit", "CPU ms an image", "peak MiB")
    limit = ways[LIMIT].rate
    rows = [(n, each.rate, each.rate / limit, each.cpu, each.memory) for n, each in ways.items()]
    print(timing.table(head, rows))
    print("\nThe databases of the study `paper` of these images:\n")
    header = ("", "databases", "images decoded", "hours", "disk GB")
    print(timing.table(header, study(scratch, ways)))


def write_photographs(given: Path | None, folder: Path) -> list[Path]:
    """JPEGs in `folder`: copies of given ones, or new ones."""
    folder.mkdir(parents=True)
    if given is not None:
        found = sorted(each for each in given.rglob("*") if each.suffix.lower() in ENDINGS)
        random.Random(0).shuffle(found)
        for number, each in enumerate(found[:PHOTOGRAPHS]):
            shutil.copyfile(each, folder / f"{number}.JPEG")
    else:
        generator = np.random.default_rng(0)
        for number, pixels in enumerate(islice(small_images(), PHOTOGRAPHS)):
            large = cv2.resize(pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
            grainy = np.clip(large + generator.normal(0, GRAIN, large.shape), 0, 255)
            flags = (cv2.IMWRITE_JPEG_QUALITY, QUALITY)
            cv2.imwrite(str(folder / f"{number}.JPEG"), grainy.astype(np.uint8), flags)
    return sorted(folder.iterdir())


def small_images() -> Iterator[npt.NDArray[np.uint8]]:
    """Images to scale up: of Tiny ImageNet where they are at hand, else blotches."""
    archive = Path(os.environ.get("CAFFE_TRANSFER_SHARED", "")) / "data" / TINY
    if archive.is_file():
        with zipfile.ZipFile(archive) as zipped:
            names = [each for each in zipped.namelist() if each.endswith(".JPEG")]
            for name in random.Random(0).sample(names, len(names)):
                yield decoded(np.frombuffer(zipped.read(name), np.uint8))
    generator = np.random.default_rng(0)
    while True:
        yield generator.integers(0, 256, (48, 64, 3), np.uint8)


def decoded(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A JPEG as OpenCV decodes it."""
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert pixels is not None
    return pixels.astype(np.uint8, copy=False)


def write_fake(root: Path, photographs: Sequence[Path], images: int) -> None:
    """ILSVRC2012 in Caffe's form: train/WNID/, val/, train.txt and val.txt."""
    valid = round(images * VALID / (TRAIN + VALID))
    synsets = ilsvrc12_synsets()
    for synset in synsets:
        (root / "train" / synset).mkdir(parents=True)
    (root / "val").mkdir()
    train = [(f"{synsets[n % 1000]}/{synsets[n % 1000]}_{n}.JPEG", n % 1000)
             for n in range(images - valid)]  # fmt: skip
    # Caffe's lists are sorted by class.
    train.sort(key=lambda each: each[1])
    val = [(f"ILSVRC2012_val_{n + 1:08d}.JPEG", n * 7 % 1000) for n in range(valid)]
    for part, lines in (("train", train), ("val", val)):
        for number, (name, _) in enumerate(lines):
            os.link(photographs[number % len(photographs)], root / part / name)
        lists.write(ImageList(*zip(*lines, strict=True)), root / f"{part}.txt")


def list_costs(scratch: Path) -> list[tuple[str, Cost]]:
    """Make the source's and the study's lists."""
    found = load_study("paper")
    keys = [part for key in found.splits for part in ("--split", key)]
    sizes = sorted({each.per_class for each in found.networks if each.per_class is not None})
    reduced = [part for each in sizes for part in ("--per-class", str(each))]
    images, data = scratch / "images", scratch / "data"
    return [
        ("fetch ilsvrc12", tool("fetch", "ilsvrc12", "--from", scratch / "fake", "--out", images)),
        ("split", tool("split", "--images", images, "--out", data, *keys, *reduced)),
    ]


def tool(*arguments: str | Path) -> Cost:
    """Run `caffe-transfer data`."""
    return timing.run([sys.executable, "-m", "caffe_transfer", "data", *arguments])


def apart(work: Callable[..., None], *arguments: object) -> None:
    """Do what needs much memory in a process of its own.

    A command's peak memory counts from before it was started, when it was a copy of this process.
    """
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{work.__name__} failed with status {process.exitcode}")


def write_sample(scratch: Path, count: int) -> None:
    """The lists of some training images, in random order, and of one."""
    whole = lists.read(DataFolder(scratch / "data").list("whole_train")).shuffled(0)
    lists.write(whole.take(range(min(count, len(whole)))), scratch / "sample.txt")
    lists.write(whole.take(range(1)), scratch / "one.txt")


def converted(scratch: Path, images: int, rounds: int) -> dict[str, Cost]:
    """The costs of one database by each way, and of one image by Python's: their start."""
    program = paths.caffe_prefix() / "bin" / PEER
    root = scratch / "images/train"
    peer: list[str | Path] = [
        program, f"--resize_height={SIZE}", f"--resize_width={SIZE}", f"{root}/",
        scratch / "sample.txt", scratch / "theirs",
    ]  # fmt: skip
    data = paths.LMDB_DATA
    copy = f"cp {scratch}/ours/{data} {scratch}/copy && sync {scratch}/copy"

    def ours(name: str, out: str) -> Cost:
        fresh(scratch, out)
        return tool("lmdb", scratch / name, root, scratch / out, "--size", str(SIZE))

    def theirs() -> Cost:
        fresh(scratch, "theirs")
        return timing.run(peer)

    def from_view(name: str, database: str) -> Cost:
        fresh(scratch, "copies")
        apart(write_view, scratch, name, database)
        return tool("lmdb", "--from-view", scratch / "view", scratch / "copies")

    def limit(name: str) -> Cost:
        options: list[str | Path] = ["--decode", scratch / name, root]
        return timing.run([sys.executable, "-m", "benchmarks.imagenet", *options])

    runs: dict[str, Callable[[], Cost]] = {
        f"{TOOL}{START}": partial(ours, "one.txt", "one"),
        TOOL: partial(ours, "sample.txt", "ours"),
        f"{FROM_VIEW}{START}": partial(from_view, "one.txt", "one"),
        FROM_VIEW: partial(from_view, "sample.txt", "ours"),
        f"{LIMIT}{START}": partial(limit, "one.txt"),
        LIMIT: partial(limit, "sample.txt"),
        COPY: partial(timing.run, ["sh", "-c", copy]),
    }
    if program.exists():
        runs[PEER] = theirs
    return timing.in_turn(runs, rounds)


def write_view(scratch: Path, name: str, database: str) -> None:
    """A view of all images of a list's database, under other labels."""
    images = lists.read(scratch / name)
    changed = ImageList(images.paths, tuple(label + 1 for label in images.labels))
    job = lmdbs.job_of(changed, SIZE, False, None, None)
    base = Base(scratch / database, images, np.arange(len(images)))
    base.take(changed, scratch / "view", job)


def fresh(scratch: Path, name: str) -> None:
    """Remove what an earlier round has written."""
    shutil.rmtree(scratch / name, ignore_errors=True)


def way(costs: dict[str, Cost], name: str, images: int, scratch: Path) -> Way:
    """The rate at full size, to which the start of our programs adds nothing."""
    cost, start = costs[name], costs.get(f"{name}{START}", Cost(0, 0, 0))
    folder = scratch / ("theirs" if name == PEER else "ours")
    record = (folder / paths.LMDB_DATA).stat().st_size / images
    rate = images / max(cost.wall - start.wall, 1e-9)
    return Way(rate, 1000 * (cost.cpu - start.cpu) / images, record, cost.memory)


def study(scratch: Path, ways: dict[str, Way]) -> list[tuple[object, ...]]:
    """The study's databases, each image decoded once, beside the tool that knows single lists."""
    data = DataFolder(scratch / "data")
    counts = {name: lists.count(data.list(name)) for name in data_sets(load_study("paper"))}
    total, once = sum(counts.values()), counts["whole_train"] + counts["whole_valid"]
    # Sets that hold all images share the database of the whole.
    copied = {name: count for name, count in counts.items() if count < counts[_whole(name)]}
    record, copies = ways[TOOL].record, sum(copied.values())
    seconds = once / ways[TOOL].rate
    rows = [
        row(BY_TORCH, 2, once, seconds, once * record),
        row(
            BY_CAFFE, 2 + len(copied), once, seconds + copies / ways[FROM_VIEW].rate,
            (once + copies) * record,
        ),
    ]  # fmt: skip
    if PEER in ways:
        peer = ways[PEER]
        rows.append(row(PEER, len(counts), total, total / peer.rate, total * peer.record))
    limit, copying = once / ways[LIMIT].rate, copies / ways[COPY].rate
    return [
        *rows,
        row("limit: each image decoded once", 2, once, limit, once * record),
        row("limit: and the others copied", 2 + len(copied), once, limit + copying,
            (once + copies) * record),
    ]  # fmt: skip


def _whole(name: str) -> str:
    return whole_of(part_of(name))


def row(name: str, databases: int, decoded: int, seconds: float, disk: float) -> tuple[object, ...]:
    """One line of the study's table."""
    return name, databases, decoded, seconds / 3600, disk / 1e9


def decode(image_list: Path, root: Path) -> None:
    """The limit: decode and resize by all cores, and nothing else."""
    cv2.setNumThreads(1)
    keep_some_memory()

    def work(some: Sequence[str]) -> None:
        for name in some:
            cv2.resize(decoded(np.fromfile(root / name, np.uint8)), (SIZE, SIZE))

    names = lists.read(image_list).paths
    cores = len(os.sched_getaffinity(0))
    part = math.ceil(len(names) / cores)
    with ThreadPoolExecutor(cores) as pool:
        parts = [names[at : at + part] for at in range(0, len(names), part)]
        list(pool.map(work, parts))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=Path, help="folder of JPEGs")
    parser.add_argument("--images", type=int, default=TRAIN + VALID)
    parser.add_argument("--sample", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--scratch", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--decode", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.decode:
        decode(*options.decode)
    else:
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            main(options.photographs, options.images, options.sample, options.rounds, Path(folder))
