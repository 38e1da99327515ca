"""What is in a file."""

from pathlib import Path

import pytest

from caffe_transfer.comparison.describe import describe
from caffe_transfer.errors import BadInput, FormatError, Incomplete
from caffe_transfer.nets.render import render
from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.load import paper
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study
from tests.models import write_model
from tests.small_study import SmallRun


@pytest.mark.parametrize("form", ["V0", "V1", "V2"])
def test_models_with_and_without_an_ending(tmp_path: Path, form: str) -> None:
    for name in ("m.caffemodel", "caffe_imagenet_train_iter_450000"):
        write_model(tmp_path / name, form)
        lines = list(describe(tmp_path / name))
        assert lines[0] == f"caffemodel, format {form}, name 'small', 119 parameters"
        assert lines[1].split()[0] == "conv1"


def test_what_a_training_leaves(small_run: SmallRun) -> None:
    small_run.train("half0A")
    folder = small_run.folder.network("half0A")
    state = list(describe(folder.snapshots / "net_iter_4.solverstate"))
    assert state[0].startswith("solverstate, iteration 4, step 0, of snapshots/net_iter_4.caffe")
    assert len(state) == 17
    assert next(describe(folder.solver)) == "solver of train_val.prototxt, 4 iterations"
    net = list(describe(folder.net))
    assert net[0] == "net 'mini half0A', 26 layers"
    assert net[3].split() == ["conv1", "Convolution", "data", "->", "conv1", "lr_mult", "1,", "2"]


def test_databases_and_means(prepared: tuple[Path, Study]) -> None:
    data = RunFolder(prepared[0]).data
    assert next(describe(data.lmdb("half0A_train"))) == "LMDB, 8 records"
    assert "raw, 1x28x28, label " in list(describe(data.lmdb("half0A_train")))[1]
    assert next(describe(data.mean)).startswith("binaryproto 1x1x28x28, mean of each channel 1")


def test_nets_of_2014(tmp_path: Path) -> None:
    text = render(Network.parse("half0A"), paper(), "2014")
    (tmp_path / "net.prototxt").write_text(text["imagenet_train.prototxt"])
    lines = list(describe(tmp_path / "net.prototxt"))
    assert lines[0] == "net 'CaffeNet', 24 layers"
    assert lines[2] == "  conv1"


def test_what_is_nothing_of_caffes(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"\xff\xff\xff noise")
    with pytest.raises(BadInput, match="is not a caffemodel, solverstate, binaryproto, LMDB or"):
        list(describe(tmp_path / "noise"))
    (tmp_path / "typo.prototxt").write_text("nam: 1\n")
    with pytest.raises(FormatError, match=r"typo\.prototxt .* line 1"):
        list(describe(tmp_path / "typo.prototxt"))
    for name in ("a.caffemodel", "a.solverstate", "a.binaryproto"):
        (tmp_path / name).write_bytes(b"\xff\xff\xff noise")
        with pytest.raises(FormatError, match=name):
            list(describe(tmp_path / name))
    with pytest.raises(Incomplete, match="there is no file"):
        list(describe(tmp_path / "none"))
    with pytest.raises(FormatError, match="is not an LMDB"):
        list(describe(tmp_path))
