"""Sums of images, to be gone on with."""

from pathlib import Path

import numpy as np
import pytest

from caffe_transfer.data_prep.pixel_sum import PixelSum
from caffe_transfer.errors import BadInput

IMAGES = np.random.default_rng(0).integers(0, 256, (2000, 3, 4, 5), np.uint8)


def test_the_sum_is_that_of_float32_one_by_one() -> None:
    """Above 2**24 each addition rounds, so that the order and the type decide the bytes."""
    found, expected = PixelSum(), np.zeros((3, 4, 5), np.float32)
    for _ in range(60):
        for pixels in IMAGES:
            found.add(pixels, "")
            expected += pixels
    assert expected.min() > 2**23
    np.testing.assert_array_equal(found.total, expected)
    assert found.count == 120_000


def test_a_sum_is_kept(tmp_path: Path) -> None:
    kept = PixelSum()
    kept.add(IMAGES[0], "", b"0\0")
    kept.save(tmp_path / "sum.npz")
    found = PixelSum.load(tmp_path / "sum.npz")
    assert found is not None
    assert (found.count, found.last) == (1, b"0\0")
    np.testing.assert_array_equal(found.total, IMAGES[0])
    content = (tmp_path / "sum.npz").read_bytes()
    for torn in (b"", content[:100], content[:-10], b"no sum"):
        (tmp_path / "sum.npz").write_bytes(torn)
        assert PixelSum.load(tmp_path / "sum.npz") is None
    assert PixelSum.load(tmp_path / "none") is None


def test_images_of_two_sizes() -> None:
    one, other = PixelSum(), PixelSum()
    one.add(IMAGES[0], "a")
    other.add(IMAGES[0, :, :2], "b")
    with pytest.raises(BadInput, match=r"b has the shape .* make the database with one size"):
        one.add(IMAGES[0, :, :2], "b")
    with pytest.raises(BadInput, match="images of db have the shape"):
        one.add_sum(other, "db")
