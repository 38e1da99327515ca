"""Recognising Caffe's files by name and by content."""

import os
from pathlib import Path

import h5py
import pytest

from caffe_transfer.errors import BadInput, Incomplete
from caffe_transfer.formats.kinds import Kind, kind_of
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.solverstate import SolverState
from caffe_transfer.formats.writer import write_state
from caffe_transfer.training.transplant import transplant
from tests.models import write_model


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.caffemodel", Kind.MODEL), ("a.caffemodel.h5", Kind.MODEL),
        ("a.solverstate", Kind.STATE), ("a.solverstate.h5", Kind.STATE),
        ("a.binaryproto", Kind.MEAN), ("a.prototxt", Kind.PROTOTXT),
        ("a.txt", Kind.LIST), ("a.png", Kind.OTHER),
    ],
)  # fmt: skip
def test_endings_tell(tmp_path: Path, name: str, kind: Kind) -> None:
    (tmp_path / name).write_bytes(b"whatever")
    assert kind_of(tmp_path / name) is kind


def test_contents_tell_where_the_name_is_silent(tmp_path: Path) -> None:
    write_model(tmp_path / "caffe_train_iter_10")
    blob = pb.BlobProto(shape=pb.BlobShape(dim=[1]), data=[1])
    state = pb.SolverState(iter=3, learned_net="x", history=[blob], current_step=0)
    (tmp_path / "state").write_bytes(state.SerializeToString())
    mean = pb.BlobProto(num=1, channels=1, height=1, width=2, data=[1, 2])
    (tmp_path / "mean").write_bytes(mean.SerializeToString())
    (tmp_path / "noise").write_bytes(b"\xff\xff noise")
    kinds = {path.name: kind_of(path) for path in tmp_path.iterdir()}
    assert kinds == {
        "caffe_train_iter_10": Kind.MODEL, "state": Kind.STATE, "mean": Kind.MEAN,
        "noise": Kind.OTHER,
    }  # fmt: skip
    assert kind_of(tmp_path) is Kind.LMDB
    with pytest.raises(Incomplete, match="there is no file"):
        kind_of(tmp_path / "none")


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ""])
def test_contents_tell_hdf5_files_apart(tmp_path: Path, suffix: str) -> None:
    write_model(tmp_path / "source")
    transplant(tmp_path / "source", tmp_path / "copy.h5", 2)
    (tmp_path / "copy.h5").rename(tmp_path / f"model{suffix}")
    with (tmp_path / f"state{suffix}").open("w+b") as file:
        write_state(SolverState(1, 0, (), "x"), file, hdf5=True)
    with h5py.File(tmp_path / f"images{suffix}", "w") as data:  # for a layer HDF5Data
        data["data"] = [1.0]
    (tmp_path / f"noise{suffix}").write_bytes(b"\x89HDF\r\n\x1a\n noise")
    kinds = {name: kind_of(tmp_path / f"{name}{suffix}") for name in ("model", "state", "images")}
    assert kinds == {"model": Kind.MODEL, "state": Kind.STATE, "images": Kind.OTHER}
    assert kind_of(tmp_path / f"noise{suffix}") is Kind.OTHER


def test_a_binary_model_under_an_hdf5_name(tmp_path: Path) -> None:
    write_model(tmp_path / "model.h5")
    assert kind_of(tmp_path / "model.h5") is Kind.MODEL


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="pipe is a pipe or a device"):
        kind_of(tmp_path / "pipe")
