"""Blobs in files of their own."""

from pathlib import Path

import pytest

from caffe_transfer.errors import FormatError, Incomplete
from caffe_transfer.formats.binaryproto import read_blob
from caffe_transfer.formats.proto import caffe_pb2 as pb


def test_means(tmp_path: Path) -> None:
    mean = pb.BlobProto(shape=pb.BlobShape(dim=[1, 1, 2]), data=[1, 2])
    (tmp_path / "mean").write_bytes(mean.SerializeToString())
    assert read_blob(tmp_path / "mean").shape == (1, 1, 2)
    mean.shape.dim[0] = 5
    (tmp_path / "mean").write_bytes(mean.SerializeToString())
    with pytest.raises(FormatError, match="holds no whole blob"):
        read_blob(tmp_path / "mean")


def test_a_file_far_too_large_for_a_mean_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "mean").open("wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(FormatError, match="is not a binaryproto: it has 3221225472 bytes"):
        read_blob(tmp_path / "mean")


def test_doubles(tmp_path: Path) -> None:
    mean = pb.BlobProto(num=1, channels=1, height=1, width=2, double_data=[0.5, 2])
    (tmp_path / "mean").write_bytes(mean.SerializeToString())
    assert read_blob(tmp_path / "mean").values.tolist() == [0.5, 2]


def test_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Incomplete, match="there is no file"):
        read_blob(tmp_path / "mean")
