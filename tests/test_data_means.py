"""The mean image: the bytes of the real compute_image_mean first."""

import subprocess
from pathlib import Path

import lmdb
import numpy as np
import pytest

from caffe_transfer.data_prep import lmdbs, means
from caffe_transfer.errors import BadInput, Incomplete
from caffe_transfer.formats.datum import datum
from caffe_transfer.formats.proto import caffe_pb2 as pb
from tests.images import write_images


@pytest.mark.parametrize("gray", [False, True])
def test_bytes_of_compute_image_mean(caffe_prefix: Path, tmp_path: Path, gray: bool) -> None:
    images = write_images(tmp_path / "images", count=30)
    lmdbs.write_lmdb(images, tmp_path / "images", tmp_path / "db", gray=gray)
    subprocess.run(
        [caffe_prefix / "bin/compute_image_mean", tmp_path / "db", tmp_path / "theirs"],
        check=True, capture_output=True,
    )  # fmt: skip
    means.write_mean([tmp_path / "db"], tmp_path / "ours")
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_the_mean_of_two_halves_is_that_of_the_whole(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", count=10)
    for name, part in (("whole", images), ("a", images.relabel([0])), ("b", images.relabel([1]))):
        lmdbs.write_lmdb(part, tmp_path / "images", tmp_path / name)
    means.write_mean([tmp_path / "whole"], tmp_path / "1")
    means.write_mean([tmp_path / "a", tmp_path / "b"], tmp_path / "2")
    one, two = (pb.BlobProto.FromString((tmp_path / name).read_bytes()) for name in "12")
    np.testing.assert_array_equal(one.data, two.data)  # sums of bytes are exact in float32


def test_what_has_no_mean(tmp_path: Path) -> None:
    with pytest.raises(Incomplete, match="there is no database"):
        means.write_mean([tmp_path / "none"], tmp_path / "mean")
    with lmdb.open(str(tmp_path / "mixed")) as env, env.begin(write=True) as transaction:
        for side in (2, 3):
            pixels = np.zeros((1, side, side), np.uint8)
            transaction.put(f"{side}".encode(), datum(pixels, 0))
    with pytest.raises(BadInput, match=r"record 3 of .* make the database with one size"):
        means.write_mean([tmp_path / "mixed"], tmp_path / "mean")
    lmdb.open(str(tmp_path / "empty")).close()
    with pytest.raises(BadInput, match="holds no records"):
        means.write_mean([tmp_path / "empty"], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
