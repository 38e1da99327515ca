"""What is found out before an engine is started."""

import shutil
from pathlib import Path

import pytest

from caffe_transfer.data_prep.prepare import prepare
from caffe_transfer.errors import BadInput, CaffeTransferError, FormatError, Incomplete
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.write import write_network
from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study
from caffe_transfer.training.preflight import check_inputs, load_network


@pytest.fixture
def folder(prepared: tuple[Path, Study], tmp_path: Path) -> Path:
    """The folder of half0A in a copy of the small run."""
    root, study = prepared
    shutil.copytree(root, tmp_path / "run", symlinks=True)
    results = RunFolder(tmp_path / "run").results
    return write_network(Network.parse("half0A"), study, results)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_good_folder(folder: Path) -> None:
    loaded = load_network(folder)
    check_inputs(loaded)
    assert loaded.name == "half0A"
    assert loaded.network == Network.parse("half0A")
    assert loaded.snapshots == folder / "snapshots"
    assert loaded.target().shapes["fc8"] == ((2, 96), (2,))


def test_deploy_nets_of_2015(folder: Path) -> None:
    deploy = folder / "deploy.prototxt"
    target = load_network(folder).target()
    layers = deploy.read_text().split("}\n", 2)[2]
    old = 'name: "old" input: "data" input_dim: 10 input_dim: 1 input_dim: 28 input_dim: 28\n'
    deploy.write_text(old + layers)
    assert load_network(folder).target() == target
    deploy.write_text('name: "none"\n' + layers)
    with pytest.raises(BadInput, match=r"deploy\.prototxt has no input; give it an Input layer"):
        load_network(folder).target()


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("solver.prototxt", "max_iter", "max_itr", r"solver\.prototxt .* line 9.*max_itr"),
        ("solver.prototxt", "max_iter: 4", "", "does not set max_iter; add it"),
        ("solver.prototxt", 'net: "train_val.prototxt"', "", "does not set net; add it"),
        ("solver.prototxt", "train_val", "other", r"there is no .*other\.prototxt"),
        ("train_val.prototxt", "num_output: 16", "num_otput: 16", "num_otput"),
        ("train_val.prototxt", "num_output: 2\n", "num_output: 1\n", "label 1, but the net has 1"),
        ("train_val.prototxt", "mean.binary", "none.binary", "caffe-transfer data mean"),
        ("train_val.prototxt", "half0A_train", "half7A_train", "there is no database"),
        ("train_val.prototxt", "half0A_train", "x" * 300, "val.prototxt: File name too long; corr"),
        ("solver.prototxt", "train_val", r"train\000val", "a text in it holds a NUL"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, file: str, old: str, new: str, message: str) -> None:
    change(folder / file, old, new)
    with pytest.raises(CaffeTransferError, match=message):
        check_inputs(load_network(folder))


def test_a_database_of_another_size(folder: Path) -> None:
    mean = folder / "../../data/mean.binaryproto"
    colour = pb.BlobProto(num=1, channels=3, height=28, width=28, data=[0.0] * 3 * 28 * 28)
    mean.write_bytes(colour.SerializeToString())
    with pytest.raises(BadInput, match="has the shape 1x28x28, but the net's mean has 3x28x28"):
        check_inputs(load_network(folder))
    mean.write_bytes(b"\xff" * 8)
    with pytest.raises(FormatError, match=r"mean\.binaryproto is not a binaryproto"):
        check_inputs(load_network(folder))


def test_folders_that_cannot_be_trained(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Incomplete, match=r"there is no .*none/solver\.prototxt; write it with"):
        load_network(tmp_path / "none")
    (folder / "imagenet_solver.prototxt").touch()
    with pytest.raises(BadInput, match=r"is in dialect 2014, .* generate the network in"):
        load_network(folder)


def test_a_binary_file_is_no_prototxt(folder: Path) -> None:
    (folder / "solver.prototxt").write_bytes(b"\xff\xfe")
    with pytest.raises(FormatError, match="is not a prototxt"):
        load_network(folder)


def test_a_view_that_the_engine_cannot_read(prepared: tuple[Path, Study], tmp_path: Path) -> None:
    root, study = prepared
    run = RunFolder(tmp_path / "run")
    prepare(study, run, root.parent / "given", views=True)
    folder = write_network(Network.parse("half0A"), study, run.results)
    check_inputs(load_network(folder))
    with pytest.raises(
        BadInput,
        match=r"layer 'data' of half0A reads .*half0A_train/lmdb, a view, which only caffe-torch "
        r"can read; make a database of it with caffe-transfer data lmdb --from-view (.*db) \1, or",
    ):
        check_inputs(load_network(folder), views=False)
