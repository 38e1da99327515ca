"""Two blobs, number by number: how many differ, by how much, in value and in last places."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from caffe_transfer.caffemodel import Blob
from caffe_transfer.transplant import same_shape

# Numbers worked on at once: a few MB, whatever the blob's size.
CHUNK = 1 << 18


@dataclass(frozen=True)
class BlobComparison:
    """One blob of two models.

    Attributes:
        name: layer and index, such as "conv1 0".
        shapes, sha256: of the left and the right one, None where there is none.
        different: numbers whose bits differ; None where the shapes differ.
        largest: largest absolute difference of numbers that are numbers on both sides.
        ulps: largest distance in units in the last place, likewise.
        nans: numbers that are NaN on either side.
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
        """Same shape, same bits."""
        return self.different == 0

    @property
    def summary(self) -> str:
        """The comparison in one line."""
        left, right = ("x".join(map(str, s)) if s else "missing" for s in self.shapes)
        short = " ".join((hash or "-")[:12] for hash in self.sha256)
        nans = f", {self.nans} NaN" if self.nans else ""
        if self.identical:
            return f"{left} identical, SHA-256 {(self.sha256[0] or '')[:12]}{nans}"
        if self.different is None:
            return f"{left} and {right}"
        return (
            f"{left} {self.different} differ, at most by {self.largest:.3g}, "
            f"{self.ulps} units in the last place{nans}, SHA-256 {short}"
        )


def compare_blobs(
    left: Mapping[str, Sequence[Blob]], right: Mapping[str, Sequence[Blob]]
) -> tuple[BlobComparison, ...]:
    """Compare the blobs of two sets of layers, in the left one's order."""
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
    """Compare two blobs, either of which may be missing."""
    shapes = (left and left.shape, right and right.shape)
    hashes = (left and _sha256(left), right and _sha256(right))
    plain = BlobComparison(
        name, (shapes[0] or None, shapes[1] or None), (hashes[0] or None, hashes[1] or None)
    )
    if left is None or right is None or left.values.dtype != right.values.dtype:
        return plain
    if not same_shape(left.shape, right.shape):
        return plain
    if hashes[0] == hashes[1]:
        nans = sum(int(np.isnan(part).sum()) for part in _chunks(left.values))
        return BlobComparison(name, plain.shapes, plain.sha256, 0, nans=nans)
    return _count(plain, left.values, right.values)


def _count(
    plain: BlobComparison, left: npt.NDArray[np.floating], right: npt.NDArray[np.floating]
) -> BlobComparison:
    different, largest, ulps, nans = 0, 0.0, 0, 0
    for a, b in zip(_chunks(left), _chunks(right), strict=True):
        nan = np.isnan(a) | np.isnan(b)
        nans += int(nan.sum())
        bits_a, bits_b = _bits(a), _bits(b)
        different += int((bits_a != bits_b).sum())
        if nan.all():
            continue
        a, b = a[~nan], b[~nan]
        with np.errstate(invalid="ignore", over="ignore"):  # infinity less infinity
            gap = np.abs(a.astype(np.float64) - b.astype(np.float64))
        largest = max(largest, float(np.nanmax(np.where(a == b, 0, gap))))
        ulps = max(ulps, int(np.abs(_ordered(a) - _ordered(b)).max()))
    return BlobComparison(plain.name, plain.shapes, plain.sha256, different, largest, ulps, nans)


def _sha256(blob: Blob) -> str:
    return hashlib.sha256(np.ascontiguousarray(blob.values).data).hexdigest()


def _chunks(values: npt.NDArray[np.floating]) -> list[npt.NDArray[np.floating]]:
    return [values[start : start + CHUNK] for start in range(0, len(values), CHUNK)]


def _bits(values: npt.NDArray[np.floating]) -> npt.NDArray[np.integer]:
    return np.ascontiguousarray(values).view(np.int64 if values.itemsize == 8 else np.int32)


def _ordered(values: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Integers in the order of the floats, neighbouring floats being neighbouring integers."""
    bits = _bits(values).astype(np.int64)
    sign = np.int64(-(2 ** (8 * values.itemsize - 1)))
    return np.where(bits < 0, sign - bits, bits)
