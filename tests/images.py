"""Small images for tests."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from caffe_transfer.data_prep import decode_pool
from caffe_transfer.data_prep.decode import read_image
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.stores import Store


def write_images(
    root: Path,
    count: int,
    classes: int = 2,
    broken: int | None = None,
    endings: tuple[str, ...] = (".png",),
) -> ImageList:
    """Random images of 24x20 pixels in `root`; the one with the number `broken` is no image."""
    root.mkdir(parents=True)
    random = np.random.default_rng(0)
    names = [f"{number}{endings[number % len(endings)]}" for number in range(count)]
    for number, name in enumerate(names):
        if number == broken:
            (root / name).write_bytes(b"no image")
        else:
            cv2.imwrite(str(root / name), random.integers(0, 256, (24, 20, 3), np.uint8))
    return ImageList(tuple(names), tuple(number % classes for number in range(count)))


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that are decoded from now on."""
    seen: list[str] = []

    def counting(store: Store, name: str, size: int | None, gray: bool) -> object:
        seen.append(name)
        return read_image(store, name, size, gray)

    monkeypatch.setattr(decode_pool, "read_image", counting)
    return seen
