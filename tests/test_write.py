"""A network's folder on disk."""

import os
from pathlib import Path

import pytest

from caffe_transfer.errors import BadInput
from caffe_transfer.nets.cut_record import CutRecord, read_cut
from caffe_transfer.nets.write import write_network
from caffe_transfer.studies.load import paper
from caffe_transfer.studies.network import Network

PAPER = paper()
NETWORK = Network.parse("transfer0A0B_1_4")


def test_files_and_links_of_both_dialects(tmp_path: Path) -> None:
    new = write_network(NETWORK, PAPER, tmp_path / "new")
    old = write_network(NETWORK, PAPER, tmp_path / "old", "2014")
    assert sorted(path.name for path in new.iterdir()) == [
        "basenet", "cut.json", "deploy.prototxt", "solver.prototxt", "train_val.prototxt",
    ]  # fmt: skip
    assert sorted(path.name for path in old.iterdir()) == [
        "basenet", "imagenet_solver.prototxt", "imagenet_train.prototxt",
        "imagenet_train_leveldb", "imagenet_val.prototxt", "imagenet_val_leveldb",
    ]  # fmt: skip
    assert read_cut(new / "cut.json") == CutRecord(4, "conv4", ("conv1", "conv2", "conv3", "conv4"))
    assert os.readlink(new / "basenet") == os.readlink(old / "basenet") == "../half0A"


def test_the_second_time_nothing_changes(tmp_path: Path) -> None:
    folder = write_network(NETWORK, PAPER, tmp_path)
    before = {path: path.lstat().st_mtime_ns for path in folder.iterdir()}
    write_network(NETWORK, PAPER, tmp_path)
    assert before == {path: path.lstat().st_mtime_ns for path in folder.iterdir()}


def test_changes_are_mended_until_it_is_trained(tmp_path: Path) -> None:
    folder = write_network(NETWORK, PAPER, tmp_path)
    (folder / "solver.prototxt").write_text("mine")
    (folder / "basenet").unlink()
    (folder / "basenet").symlink_to("../elsewhere")
    write_network(NETWORK, PAPER, tmp_path)
    assert (folder / "solver.prototxt").read_text() != "mine"
    assert os.readlink(folder / "basenet") == "../half0A"
    (folder / "solver.prototxt").write_text("mine")
    (folder / "snapshots").mkdir()
    with pytest.raises(BadInput, match=r"was trained with another solver\.prototxt; name another"):
        write_network(NETWORK, PAPER, tmp_path)
    assert (folder / "solver.prototxt").read_text() == "mine"


def test_what_a_trained_folder_lacks_is_added(tmp_path: Path) -> None:
    folder = write_network(NETWORK, PAPER, tmp_path)
    (folder / "snapshots").mkdir()
    (folder / "cut.json").unlink()
    write_network(NETWORK, PAPER, tmp_path)
    assert read_cut(folder / "cut.json") is not None


def test_what_is_in_the_way(tmp_path: Path) -> None:
    folder = tmp_path / NETWORK.name
    folder.mkdir()
    (folder / "basenet").mkdir()
    with pytest.raises(BadInput, match=r"basenet is in the way of a link to \.\./half0A"):
        write_network(NETWORK, PAPER, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot write"):
        write_network(NETWORK, PAPER, tmp_path / "file")
