"""What kind of file a path is."""

from pathlib import Path

import pytest

from caffe_transfer.errors import Incomplete
from caffe_transfer.formats.kinds import Kind, kind_of
from caffe_transfer.formats.proto import caffe_pb2 as pb
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
