"""Images that benchmarks make: random blotches, in databases, files and means."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import lmdb
import numpy as np
import numpy.typing as npt

from caffe_transfer.formats.datum import datum
from caffe_transfer.formats.proto import caffe_pb2 as pb

BLOTCH = 8


def blotches(random: np.random.Generator, channels: int, size: int) -> npt.NDArray[np.uint8]:
    """One image, (channels, size, size)."""
    few = -(-size // BLOTCH)
    small = random.integers(0, 256, (channels, few, few), np.uint8)
    return np.ascontiguousarray(small.repeat(BLOTCH, 1).repeat(BLOTCH, 2)[:, :size, :size])


def write_database(path: Path, channels: int, size: int, labels: Sequence[int]) -> None:
    """An LMDB of one image for each label."""
    random = np.random.default_rng(0)
    path.mkdir(parents=True)
    with lmdb.open(str(path), map_size=1 << 30) as database, database.begin(write=True) as t:
        for number, label in enumerate(labels):
            t.put(b"%08d" % number, datum(blotches(random, channels, size), label))


def write_list(path: Path, size: int, labels: Sequence[int]) -> None:
    """Image files in colour beside a list of them and their labels."""
    random = np.random.default_rng(0)
    files = [path.with_name(f"{number}.png") for number in range(len(labels))]
    for file in files:
        cv2.imwrite(str(file), blotches(random, 3, size).transpose(1, 2, 0))
    lines = [f"{file} {label}\n" for file, label in zip(files, labels, strict=True)]
    path.write_text("".join(lines))


def write_mean(path: Path, channels: int, size: int) -> None:
    """A mean image of one gray."""
    mean = pb.BlobProto(num=1, channels=channels, height=size, width=size)
    mean.data.extend([127.0] * channels * size**2)
    path.write_bytes(mean.SerializeToString())
