"""Given bases: checked against the net before anything is made, copied, and never trained."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from caffe_transfer.errors import BadInput, Incomplete
from caffe_transfer.formats.hashes import blob_hashes, sha256
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import CustomSplit, Study, Task
from caffe_transfer.training import schedule
from caffe_transfer.training.given import check_given, read_given, write_given_bases
from caffe_transfer.training.init_weights import trained_model
from caffe_transfer.training.transplant import transplant
from tests.small_study import SmallRun

TRANSFER = "transfermineAB_1_2"


@pytest.fixture
def model(small_run: SmallRun, tmp_path: Path) -> Path:
    """What somebody trained: the base of half A, under another name."""
    small_run.train("half0A")
    path = tmp_path / "given by a friend.caffemodel"
    shutil.copy(small_run.folder.results / "half0A/snapshots/net_iter_4.caffemodel", path)
    return path


def study_of(small_run: SmallRun, model: Path, *names: str, **task: Any) -> Study:
    split = CustomSplit(Task(model=str(model), **task), Task(("0", "1")))
    networks = tuple(map(Network.parse, names or (TRANSFER,)))
    return replace(small_run.study, networks=networks, custom_splits={"mine": split})


def renamed(model: Path, out: Path, names: dict[str, str]) -> Path:
    net = pb.NetParameter.FromString(model.read_bytes())
    for layer in net.layer:
        layer.name = names.get(layer.name, layer.name)
    out.write_bytes(net.SerializeToString())
    return out


def test_its_layers_are_copied_and_frozen(small_run: SmallRun, model: Path) -> None:
    small_run.study = study_of(small_run, model)
    shutil.copytree(small_run.folder.data.root / "half0B_train",
                    small_run.folder.data.root / "halfmineB_train")  # fmt: skip
    shutil.copytree(small_run.folder.data.root / "half0B_valid",
                    small_run.folder.data.root / "halfmineB_valid")  # fmt: skip
    write_given_bases(check_given(small_run.study), small_run.folder.results)
    manifest, _ = small_run.train(TRANSFER)
    layers = ("conv1", "conv2")
    assert manifest["frozen"] == blob_hashes(model, layers)
    assert manifest["inputs"]["basenet/given.caffemodel"] == sha256(model)
    base = json.loads((small_run.folder.results / "halfmineA/manifest.json").read_text())
    assert base["given"]["sha256"] == sha256(model)
    assert not (small_run.folder.results / "halfmineA/snapshots").exists()


@pytest.mark.parametrize("ending", ["caffemodel", "caffemodel.h5"])
def test_layers_of_other_names(
    small_run: SmallRun, model: Path, tmp_path: Path, ending: str
) -> None:
    names = {"conv1": "first", "conv2": "second", "fc8": "last"}
    other = renamed(model, tmp_path / "renamed", names)
    given = tmp_path / f"other.{ending}"
    transplant(other, given, "last") if ending.endswith("h5") else shutil.copy(other, given)
    with pytest.raises(BadInput, match="lacks layers conv1, conv2 of the net and has first, "):
        check_given(study_of(small_run, given))
    table = {"conv1": "first", "conv2": "second"}
    write_given_bases(
        check_given(study_of(small_run, given, names=table)), small_run.folder.results
    )
    found = read_given(small_run.folder.results / "halfmineA")
    assert found is not None
    assert found.names == table
    in_order = study_of(small_run, given, names="in order")
    if ending.endswith("h5"):
        with pytest.raises(BadInput, match=r'names is "in order", but .* HDF5 .* no order'):
            check_given(in_order)
    else:
        (base,) = check_given(in_order).values()
        assert base.names == table
    with pytest.raises(BadInput, match=r"splits\.mine\.A\.names names the layer 'conv9', which"):
        check_given(study_of(small_run, given, names={"conv9": "first"}))


def test_only_what_is_copied_must_fit(small_run: SmallRun, model: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.caffemodel"
    transplant(model, part, 2)
    check_given(study_of(small_run, part))
    with pytest.raises(BadInput, match=r"lacks layer conv3 of the net; copy"):
        check_given(study_of(small_run, part, TRANSFER, "transfermineAB_1_3"))


def test_a_model_of_another_shape(small_run: SmallRun, model: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.caffemodel"
    other = renamed(model, wrong, {"conv1": "conv2", "conv2": "conv1"})
    with pytest.raises(BadInput, match=r"conv1 has the shape 24x16x3x3 .*, and 1 more la"):
        check_given(study_of(small_run, other))


def test_a_model_that_is_gone_or_another(small_run: SmallRun, model: Path, tmp_path: Path) -> None:
    results = small_run.folder.results
    with pytest.raises(Incomplete, match=r"there is no .*none, which splits\.mine\.A gives as its"):
        check_given(study_of(small_run, tmp_path / "none"))
    write_given_bases(check_given(study_of(small_run, model)), results)
    assert trained_model(results / "halfmineA").resolve() == model
    transplant(model, tmp_path / "other", 3)
    with pytest.raises(BadInput, match=r"halfmineA is of another given model than .*other; name"):
        write_given_bases(check_given(study_of(small_run, tmp_path / "other")), results)
    model.write_bytes((tmp_path / "other").read_bytes())
    with pytest.raises(BadInput, match=r"friend\.caffemodel has changed since the study began"):
        trained_model(results / "halfmineA")
    model.unlink()
    with pytest.raises(Incomplete, match=r"friend\.caffemodel is gone; put it back"):
        trained_model(results / "halfmineA")


def test_a_given_base_is_no_network_to_train(small_run: SmallRun, model: Path) -> None:
    study = study_of(small_run, model, TRANSFER, "halfmineB", "transfermineBB_1_2")
    assert schedule.order(study)[-1] == "transfermineBB_1_2"
    assert schedule.graph(study)[TRANSFER] == ()
