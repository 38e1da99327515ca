"""Images decoded by all cores: the same, in the same order, as one by one."""

import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from caffe_transfer.data_prep import decode_pool
from caffe_transfer.data_prep.decode import Pixels, read_image
from caffe_transfer.data_prep.decode_pool import decoded
from caffe_transfer.data_prep.left_out import Fault
from caffe_transfer.data_prep.stores import Store, open_store
from tests.images import write_images


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("size", [None, 9])
def test_the_same_images_in_the_same_order(tmp_path: Path, size: int | None, gray: bool) -> None:
    names = write_images(tmp_path / "images", count=300, broken=7).paths
    with open_store(tmp_path / "images") as store:
        one_by_one = [read_image(store, name, size, gray) for name in names]
        with decoded(store, names, size, gray) as found:
            for ours, theirs in zip(found, one_by_one, strict=True):
                if isinstance(theirs, Fault):
                    assert ours is theirs
                else:
                    np.testing.assert_array_equal(ours, theirs)


def test_few_images_are_held_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counting(_store: Store, name: str, _size: int | None, _gray: bool) -> Fault:
        read.append(name)
        return Fault.EMPTY

    monkeypatch.setattr(decode_pool, "read_image", counting)
    names = tuple(map(str, range(100_000)))
    with open_store(tmp_path) as store, decoded(store, names, 9, False) as found:
        for _ in range(1000):
            next(found)
        time.sleep(0.1)
        assert len(read) < 1000 + 64 * 1024


def test_leaving_early_ends_the_threads(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", count=300)
    before, threads = threading.active_count(), cv2.getNumThreads()
    with open_store(tmp_path / "images") as store, decoded(store, images.paths, 9, False) as found:
        assert isinstance(next(found), np.ndarray)
    assert threading.active_count() == before
    assert cv2.getNumThreads() == threads


def test_an_error_of_a_thread_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> Pixels:
        raise MemoryError

    monkeypatch.setattr(decode_pool, "read_image", failing)
    with (
        open_store(tmp_path) as store,
        decoded(store, ("a",), 9, False) as found,
        pytest.raises(MemoryError),
    ):
        next(found)
