"""Files of older formats written anew: byte for byte what Caffe's own tools write."""

import os
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.errors import CaffeTransferError
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.render import render
from caffe_transfer.old_files import OldKind, upgrade_file
from caffe_transfer.studies.load import paper
from caffe_transfer.studies.network import Network
from tests.models import write_model
from tests.test_upgrade import BATCH_NORM, V0, V1_ALL, V1_SHARED


def theirs(caffe_prefix: Path, tool: str, old: Path) -> bytes:
    new = old.with_name("theirs")
    subprocess.run([caffe_prefix / "bin" / tool, old, new], check=True, capture_output=True)
    return new.read_bytes()


@pytest.mark.parametrize("text", [V0, V1_SHARED, V1_ALL, BATCH_NORM], ids=["V0", "V1", "all", "V2"])
def test_texts_are_those_of_caffes_tool(text: str, caffe_prefix: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text(text)
    done = upgrade_file(old, new)
    assert (done.kind, done.changed) == (OldKind.NET, True)
    assert new.read_bytes() == theirs(caffe_prefix, "upgrade_net_proto_text", old)
    assert not upgrade_file(new, tmp_path / "again").changed


def test_the_authors_nets(caffe_prefix: Path, authors: Path, tmp_path: Path) -> None:
    for name in ("half0A", "transfer0A0B_1_3", "nolearn_1_3"):
        for file in ("imagenet_train.prototxt", "imagenet_val.prototxt"):
            old, new = tmp_path / f"{name}-{file}", tmp_path / f"new-{name}-{file}"
            old.write_bytes((authors / "results" / name / file).read_bytes())
            done = upgrade_file(old, new)
            assert done.format == "V0"
            assert new.read_bytes() == theirs(caffe_prefix, "upgrade_net_proto_text", old)


def test_solvers_are_those_of_caffes_tool(caffe_prefix: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text('net: "a"  # mine\nbase_lr: 0.00015\nsolver_type: ADAGRAD\nsolver_mode: 1\n')
    done = upgrade_file(old, new)
    assert (done.kind, done.changed, done.format) == (OldKind.SOLVER, True, "")
    assert done.notes == (f"the comments of {old} are not kept",)
    assert new.read_bytes() == theirs(caffe_prefix, "upgrade_solver_proto_text", old)


@pytest.mark.parametrize("form", ["V0", "V1"])
def test_models_are_those_of_caffes_tool(form: str, caffe_prefix: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "caffe_train_iter_10", tmp_path / "new.caffemodel"
    write_model(old, form)
    done = upgrade_file(old, new)
    assert (done.kind, done.format, done.changed, done.layers) == (OldKind.MODEL, form, True, 4)
    assert new.read_bytes() == theirs(caffe_prefix, "upgrade_net_proto_binary", old)


def test_a_model_of_2014_with_its_settings(caffe_prefix: Path, tmp_path: Path) -> None:
    """All layers of a net in V0, blobs in some; padding goes, inputs become a layer."""
    from google.protobuf import text_format

    net = text_format.Parse(V0, pb.NetParameter())
    for layer in net.layers[5:12:3]:
        for size in (3, 2):
            blob = layer.layer.blobs.add(num=1, channels=1, height=1, width=size)
            blob.data.extend(range(size))
            blob.diff.extend(range(size))
    net.input.append("data")
    net.input_dim.extend([1, 3, 8, 8])
    (tmp_path / "old").write_bytes(net.SerializeToString())
    upgrade_file(tmp_path / "old", tmp_path / "new")
    ours = (tmp_path / "new").read_bytes()
    assert ours == theirs(caffe_prefix, "upgrade_net_proto_binary", tmp_path / "old")
    found = pb.NetParameter.FromString(ours)
    assert found.layer[0].type == "Input"
    assert "p" not in [layer.name for layer in found.layer]


@given(st.sampled_from(["V0", "V1", "V2"]), st.integers(0, 99))
def test_no_byte_of_a_blob_changes(
    tmp_path_factory: pytest.TempPathFactory, form: str, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("upgrade")
    arrays = write_model(folder / "old", form, seed)
    upgrade_file(folder / "old", folder / "new")
    with open_model(folder / "new") as model:
        assert model.format == "V2"
        for name, layer in model.with_blobs.items():
            assert [blob.tobytes() for blob in layer.blobs] == [a.tobytes() for a in arrays[name]]


def test_what_is_current_is_copied(tmp_path: Path) -> None:
    write_model(tmp_path / "a.caffemodel")
    (tmp_path / "a.prototxt").write_text('# mine\nlayer { name: "x" type: "ReLU" }')
    (tmp_path / "s.prototxt").write_text('# mine\nnet: "a" type: "Adam"')
    with h5py.File(tmp_path / "a.caffemodel.h5", "w") as file:
        file["data/conv1/0"] = np.zeros(3, np.float32)
    for name in ("a.caffemodel", "a.prototxt", "s.prototxt", "a.caffemodel.h5"):
        done = upgrade_file(tmp_path / name, tmp_path / f"new-{name}")
        assert not done.changed
        assert done.notes == ()
        assert (tmp_path / f"new-{name}").read_bytes() == (tmp_path / name).read_bytes()


def test_a_leveldb_is_left_to_do(tmp_path: Path) -> None:
    text = render(Network.parse("half0A"), paper(), "2014")["imagenet_train.prototxt"]
    (tmp_path / "old").write_text(text)
    done = upgrade_file(tmp_path / "old", tmp_path / "new")
    assert done.notes[-1].startswith("layer data reads a LevelDB, the default; where Caffe is")
    assert done.as_dict()["kind"] == "net"


def test_what_cannot_be_upgraded_leaves_nothing(tmp_path: Path) -> None:
    write_model(tmp_path / "v1", "V1")
    (tmp_path / "cut").write_bytes((tmp_path / "v1").read_bytes()[:-3])
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "typo").write_text("layers { nam: 3 }\n")
    (tmp_path / "both").write_text('layers { name: "x" } layer { name: "y" }\n')
    (tmp_path / "s.solverstate").write_bytes(b"\x08\0\x20\0")
    (tmp_path / "m.binaryproto").write_bytes(pb.BlobProto(num=1, data=[0]).SerializeToString())
    (tmp_path / "text").write_text('layers { name: "x" }')
    (tmp_path / "folder").mkdir()
    os.symlink("nowhere", tmp_path / "link")
    before = sorted(tmp_path.iterdir())
    for old, new, message in (
        ("none", "new", "there is no file .*none; check the name"),
        ("folder", "new", "is a folder, which has one format; upgrade takes nets, solvers, models"),
        ("s.solverstate", "new", "is a solverstate, which has one format"),
        ("m.binaryproto", "new", "is a binaryproto, which has one format"),
        ("cut", "new", "cut is not a whole .caffemodel"),
        ("empty", "new", "empty is empty; name a net"),
        ("typo", "new", "typo is not a prototxt of this kind: line 1"),
        ("both", "new", "both has both 'layer' and 'layers'"),
        ("v1", "v1", "v1 is there already; remove it or name another file"),
        ("v1", "link", "link is there already"),
        ("v1", "new.prototxt", "is no name for a Caffe model"),
        ("v1", "new.h5", r"new.h5 is a name for HDF5, and an upgraded model is binary"),
        ("text", "new.caffemodel", "new.caffemodel is no name for a prototxt; use one that ends"),
    ):
        with pytest.raises(CaffeTransferError, match=message):
            upgrade_file(tmp_path / old, tmp_path / new)
    assert sorted(tmp_path.iterdir()) == before
