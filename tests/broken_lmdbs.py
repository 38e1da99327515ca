"""Databases with wrong bits, and what reading them gives.

python -m tests.broken_lmdbs 5000 [SEED]     a campaign: every flip in a process of its own
"""

import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import lmdb
import numpy as np

from caffe_transfer.comparison.describe import describe
from caffe_transfer.data_prep.means import write_mean
from caffe_transfer.errors import BadInput, CaffeTransferError
from caffe_transfer.formats.datum import datum
from caffe_transfer.formats.lmdb import check_lmdb, open_lmdb
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.wire import fields
from caffe_transfer.paths import LMDB_DATA

Records = list[tuple[tuple[int, ...], bytes, int]]  # shape, pixels, label
SHAPES = {"in leaves": (1, 12, 12), "in pages of their own": (3, 20, 20), "in runs": (3, 60, 60)}
PAGE, PAGE_HEADER = 4096, 16
TIME_LIMIT = 20  # seconds


def write(path: Path, shape: tuple[int, int, int], count: int = 40, key: int = 200) -> None:
    """A database of some commits, whose keys are long, so that it has branch pages."""
    with lmdb.open(str(path), map_size=1 << 24) as environment:
        for start in range(0, count, count // 3):
            with environment.begin(write=True) as writing:
                for number in range(start, min(start + count // 3, count)):
                    pixels = np.random.default_rng(number).integers(0, 256, shape, np.uint8)
                    name = f"{number:08}_".ljust(key, "k").encode()
                    writing.put(name, datum(pixels, number % 7 + 1))


def structure(path: Path) -> list[int]:
    """The offsets of bytes that are neither keys, pixels nor labels, nor zeros within a page."""
    content = (path / LMDB_DATA).read_bytes()
    free = np.frombuffer(content, np.uint8) != 0
    free.reshape(-1, PAGE)[:, :PAGE_HEADER] = True
    with lmdb.open(str(path), readonly=True, lock=False) as environment, environment.begin() as at:
        for key, value in at.cursor():
            for start in _places(content, key):
                free[start : start + len(key)] = False
            for start in _places(content, value):
                for field in fields(memoryview(value)):
                    if field.number in (pb.Datum.DATA_FIELD_NUMBER, pb.Datum.LABEL_FIELD_NUMBER):
                        first = field.value if field.end - field.value > 1 else field.start
                        free[start + first : start + field.end] = False
    return [int(offset) for offset in np.flatnonzero(free)]


def _places(content: bytes, part: bytes) -> Iterator[int]:
    start = content.find(part)
    while start >= 0:
        yield start
        start = content.find(part, start + 1)


def flipped(path: Path, into: Path, offset: int, bit: int) -> Path:
    """A copy of a database with one bit flipped."""
    content = bytearray((path / LMDB_DATA).read_bytes())
    content[offset] ^= 1 << bit
    into.mkdir()
    (into / LMDB_DATA).write_bytes(content)
    return into


def read(path: Path) -> Records:
    """All records, read in every way that the library has.

    Raises:
        CaffeTransferError: one of them refuses the database.
    """
    from caffe_transfer.caffe_torch.datum import records  # needs PyTorch's requirements

    found: Records = []
    check_lmdb(path)
    describe(path)
    write_mean([path], path / "mean")
    with open_lmdb(path) as environment:
        count = int(environment.stat()["entries"])
    for record, _ in zip(records(path, pb.TransformationParameter()), range(count), strict=False):
        pixels, label = record.decode()
        found.append((pixels.shape, pixels.tobytes(), label))
    return found


def outcome(path: Path, good: Records) -> str:
    """What reading gives: refused, equal, or other records, which is silent nonsense."""
    try:
        return "equal" if read(path) == good else "other records"
    except BadInput as error:
        return "refused" if "\n" not in str(error) else f"lines: {error}"
    except CaffeTransferError as error:
        return f"another error: {error}"


def campaign(count: int, seed: int, folder: Path) -> Counter[str]:
    """Flip bits of the structure, each read by a process of its own; count the outcomes."""
    chosen, found = random.Random(seed), Counter[str]()
    for what, shape in SHAPES.items():
        path = folder / what.replace(" ", "_")
        write(path, shape)
        good, offsets = read(path), structure(path)
        for number in range(count):
            offset, bit = chosen.choice(offsets), chosen.randrange(8)
            one = flipped(path, folder / f"{path.name}-{number}", offset, bit)
            result = _in_child(one, good)
            found[f"{what}: {result}"] += 1
            if result not in ("equal", "refused"):
                print(what, offset, bit, result, file=sys.stderr)
            for file in one.iterdir():
                file.unlink()
            one.rmdir()
    return found


def _in_child(path: Path, good: Records) -> str:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        import signal

        signal.alarm(TIME_LIMIT)
        try:
            os.write(writing, outcome(path, good).encode())
        except BaseException as error:
            os.write(writing, repr(error).encode())
        os._exit(0)
    os.close(writing)
    said = os.read(reading, 1 << 16).decode()
    os.close(reading)
    _, status = os.waitpid(child, 0)
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else said


def main(count: int, seed: int) -> int:
    """Print the outcomes; return 1 if one is neither a refusal nor the same records."""
    with tempfile.TemporaryDirectory() as scratch:
        found = campaign(count, seed, Path(scratch))
    for line, times in sorted(found.items()):
        print(f"{times:6} {line}")
    return int(any(not line.endswith((": equal", ": refused")) for line in found))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
