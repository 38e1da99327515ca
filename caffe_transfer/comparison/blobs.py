"""Two blobs, number by number: how many differ, by how much, and by how many ulps."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from caffe_transfer.formats.caffemodel import Blob
from caffe_transfer.formats.layer_records import forget, same_shape
from caffe_transfer.units import shape_text

Numbers: TypeAlias = npt.NDArray[np.floating[Any]]

# Numbers per step: with all temporaries they stay in the processor's cache.
CHUNK = 1 << 15


@dataclass(frozen=True)
class BlobComparison:
    """One blob of two models.

    Attributes:
        name: layer and index, such as "conv1 0".
        shapes, sha256: of the left and the right blob; None for one that is missing.
        different: count of numbers whose bits differ; None if shapes or dtypes differ.
        largest: largest absolute difference between numbers that are NaN on neither side.
        ulps: largest distance between such numbers in units in the last place.
        nans: count of numbers that are NaN on either side.
    """

    name: str
    shapes: tuple[tuple[int, ...] | None, tuple[int, ...] | None]
    sha256: tuple[str | None, str | None]
    different: int | None = None
    largest: float = 0.0
    ulps: int = 0
    nans: int = 0

    @property
    def identical(self) -> bool:
        """Whether shape and bits are the same."""
        return self.different == 0

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        return asdict(self)

    @property
    def shape_texts(self) -> tuple[str, str]:
        """Both shapes in words."""
        left, right = (
            "missing" if shape is None else shape_text(shape, scalar="1") for shape in self.shapes
        )
        return left, right


def summary_of(blobs: Sequence[BlobComparison]) -> str:
    """How many blobs differ, in which way, and where most."""
    missing = [sum(blob.shapes[side] is None for blob in blobs) for side in (0, 1)]
    changed = [blob for blob in blobs if blob.different]
    others = len([blob for blob in blobs if blob.different is None]) - sum(missing)
    counts = (
        (sum(blob.identical for blob in blobs), "identical"),
        (len(changed), "with other numbers"),
        (others, "of another shape or type"),
        (missing[1], "only in the first"),
        (missing[0], "only in the second"),
    )
    parts = ", ".join(f"{count} {what}" for count, what in counts if count)
    most = max(changed, key=lambda blob: blob.largest, default=None)
    where = f"; at most by {most.largest:.3g} ({most.name})" if most else ""
    return f"{len(blobs)} blobs: {parts}{where}"


def compare_blobs(
    left: Mapping[str, Sequence[Blob]], right: Mapping[str, Sequence[Blob]]
) -> tuple[BlobComparison, ...]:
    """Compare the blobs of two sets of layers by layer and index, in the order of the left one."""
    found = []
    for layer in [*left, *(name for name in right if name not in left)]:
        ours, theirs = left.get(layer, ()), right.get(layer, ())
        for index in range(max(len(ours), len(theirs))):
            found.append(
                compare_blob(
                    f"{layer} {index}",
                    ours[index] if index < len(ours) else None,
                    theirs[index] if index < len(theirs) else None,
                )
            )
    return tuple(found)


def compare_blob(name: str, left: Blob | None, right: Blob | None) -> BlobComparison:
    """Compare two blobs, either of which may be None; each number is read once."""
    shapes = (left.shape if left else None, right.shape if right else None)
    comparable = (
        left is not None
        and right is not None
        and left.values.dtype == right.values.dtype
        and same_shape(left.shape, right.shape)
    )
    if left is None or right is None or not comparable:
        hashes = tuple(None if blob is None else _sha256(blob) for blob in (left, right))
        return BlobComparison(name, shapes, (hashes[0], hashes[1]))
    found = _Difference()
    hashers = hashlib.sha256(), hashlib.sha256()
    for a, b in zip(chunks(left), chunks(right), strict=True):
        found.add(a, b)
        for hasher, part in zip(hashers, (a, b), strict=True):
            hasher.update(part.data)
    return BlobComparison(
        name, shapes, (hashers[0].hexdigest(), hashers[1].hexdigest()),
        found.different, found.largest, found.ulps, found.nans,
    )  # fmt: skip


class _Difference:
    """Accumulates the differences between two arrays chunk by chunk; see BlobComparison."""

    def __init__(self) -> None:
        self.different, self.largest, self.ulps, self.nans = 0, 0.0, 0, 0

    def add(self, a: Numbers, b: Numbers) -> None:
        """Add a chunk of either array."""
        different = int(np.count_nonzero(_bits(a) != _bits(b)))
        nan = np.isnan(a)
        if different:
            nan |= np.isnan(b)
        nans = int(np.count_nonzero(nan))
        self.different += different
        self.nans += nans
        if nans:
            a, b = a[~nan], b[~nan]
        if not different or not len(a):
            return
        with np.errstate(invalid="ignore", over="ignore"):  # infinity less infinity
            gap = np.abs(np.subtract(a, b, dtype=np.float64))
        self.largest = max(self.largest, float(np.nanmax(np.where(a == b, 0, gap))))
        self.ulps = max(self.ulps, int(np.abs(_ordered(a) - _ordered(b)).max()))


def _sha256(blob: Blob) -> str:
    hasher = hashlib.sha256()
    for part in chunks(blob):
        hasher.update(part.data)
    return hasher.hexdigest()


def chunks(blob: Blob) -> Iterator[Numbers]:
    """The numbers in chunks; pages of a mapped file are released once read."""
    values = np.ascontiguousarray(blob.values)
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
        forget(values.base)


def _bits(values: Numbers) -> npt.NDArray[np.integer]:
    return np.ascontiguousarray(values).view(np.int64 if values.itemsize == 8 else np.int32)


def _ordered(values: Numbers) -> npt.NDArray[np.int64]:
    """Integers ordered like the floats, so that adjacent floats are adjacent integers."""
    bits = _bits(values).astype(np.int64)
    sign = np.int64(-(2 ** (8 * values.itemsize - 1)))
    return np.where(bits < 0, sign - bits, bits)
