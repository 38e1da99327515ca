"""Databases: the bytes of the real convert_imageset first."""

import resource
import subprocess
import sys
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_transfer.data_prep import lists, lmdb_writer, lmdbs
from caffe_transfer.data_prep.left_out import Fault, LeftOut
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.datum import datum
from caffe_transfer.formats.proto import caffe_pb2 as pb
from tests.images import write_images


def records(path: Path) -> list[tuple[bytes, bytes]]:
    with lmdb.open(str(path), readonly=True, lock=False) as env, env.begin() as transaction:
        return list(transaction.cursor())


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("size", [None, 17])
def test_bytes_of_convert_imageset(
    caffe_prefix: Path, tmp_path: Path, size: int | None, gray: bool
) -> None:
    images = write_images(tmp_path / "images", count=7, broken=2, endings=(".png", ".jpg"))
    lists.write(images, tmp_path / "list.txt")
    flags = [f"--resize_height={size}", f"--resize_width={size}"] if size else []
    subprocess.run(
        [
            caffe_prefix / "bin/convert_imageset", *flags, *(["--gray"] if gray else []),
            f"{tmp_path}/images/", tmp_path / "list.txt", tmp_path / "theirs",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    written = lmdbs.write_lmdb(images, tmp_path / "images", tmp_path / "ours", size=size, gray=gray)
    assert records(tmp_path / "ours") == records(tmp_path / "theirs")
    assert written.count == 6
    assert written.left_out == (LeftOut(images.paths[2], Fault.NOT_AN_IMAGE),)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(0, 999))
def test_a_record_holds_the_pixels(channels: int, height: int, width: int, label: int) -> None:
    pixels = np.random.default_rng(label).integers(0, 256, (channels, height, width), np.uint8)
    record = pb.Datum.FromString(datum(pixels, label))
    assert (record.channels, record.height, record.width) == (channels, height, width)
    assert (record.data, record.label) == (pixels.tobytes(), label)


def test_the_map_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmdb_writer, "FIRST_MAP_BYTES", 1 << 15)
    images = write_images(tmp_path / "images", count=40)
    assert lmdbs.write_lmdb(images, tmp_path / "images", tmp_path / "db", size=64).count == 40
    assert len(records(tmp_path / "db")) == 40


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    images = write_images(tmp_path / "images", count=3, broken=2)
    lmdbs.write_lmdb(
        images, tmp_path / "images", tmp_path / "db", progress=lambda _, n, m: seen.append((n, m))
    )
    assert seen[-1] == (3, 3)


def test_strict_names_the_broken_image(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", count=3, broken=1)
    with pytest.raises(
        BadInput, match=rf"1 file was left out: 1 not an image \({images.paths[1]}\)"
    ):
        lmdbs.write_lmdb(images, tmp_path / "images", tmp_path / "db", strict=True)
    assert not (tmp_path / "db").exists()


def test_images_that_cannot_make_a_database(tmp_path: Path) -> None:
    root = tmp_path / "images"
    images = write_images(root, count=2, broken=0)
    with pytest.raises(BadInput, match="1 of 3 images of the list are missing"):
        lmdbs.write_lmdb(ImageList((*images.paths, "none.png"), (0, 0, 0)), root, tmp_path / "db")
    with pytest.raises(BadInput, match=r"no image of 1 .* can be used"):
        lmdbs.write_lmdb(ImageList(images.paths[:1], (0,)), root, tmp_path / "db")
    cv2.imwrite(str(root / "large.png"), np.zeros((50, 50, 3), np.uint8))
    with pytest.raises(BadInput, match=r"large\.png has the shape .* give a size"):
        lmdbs.write_lmdb(ImageList((images.paths[1], "large.png"), (0, 0)), root, tmp_path / "db")
    (tmp_path / "db").mkdir()
    with pytest.raises(BadInput, match="is there already"):
        lmdbs.write_lmdb(images, root, tmp_path / "db")


def test_a_disk_that_is_full_from_the_start(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", count=4)
    lists.write(images, tmp_path / "list.txt")
    done = subprocess.run(
        [sys.executable, "-m", "caffe_transfer", "data", "lmdb", "list.txt", "images", "db",
         "--size", "512"],
        cwd=tmp_path, capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == ["images", "list.txt"]
