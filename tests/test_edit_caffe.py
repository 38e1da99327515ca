"""Nets made of users' nets, trained by real Caffe: accepted, frozen where they should be."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import text_format

from caffe_transfer.formats.hashes import blob_hashes
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import parse, read_net
from caffe_transfer.nets.cuts import cuts
from caffe_transfer.nets.edit import checked, deploy, train_val
from caffe_transfer.nets.layers import members
from caffe_transfer.nets.shapes import parameter_shapes
from caffe_transfer.report.logs import read_logs
from tests.edit_nets import CROP, SETTINGS, USERS_NETS, write_database

CLASSES = 4
SOLVER = (
    'net: "net.prototxt" base_lr: 0.01 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.0005 '
    'solver_mode: CPU random_seed: 1 snapshot_prefix: "net" display: 1'
)


class Trainer:
    """Real Caffe, and a database of small images."""

    def __init__(self, caffe: Path, root: Path) -> None:
        self.caffe, self.root = caffe, root
        write_database(root / "db")

    def train(self, net: pb.NetParameter, iterations: int, weights: Path | None = None) -> Path:
        """Train a net, and return its folder."""
        folder = self.root / f"net{len(list(self.root.iterdir()))}"
        folder.mkdir()
        (folder / "net.prototxt").write_text(text_format.MessageToString(net))
        tests = " test_iter: 2 test_interval: 2" if iterations else ""
        (folder / "solver.prototxt").write_text(f"{SOLVER} max_iter: {iterations}{tests}")
        argv = [str(self.caffe), "train", "--solver=solver.prototxt"]
        argv += [f"--weights={weights}"] if weights else []
        env = {"GLOG_logtostderr": "1", "OMP_NUM_THREADS": "1"}
        with (folder / "train.log").open("wb") as log:
            done = subprocess.run(argv, cwd=folder, stderr=log, env=env)
        assert done.returncode == 0, (folder / "train.log").read_text()[-3000:]
        return folder


@pytest.fixture
def trainer(caffe_bin: Path, tmp_path: Path) -> Trainer:
    return Trainer(caffe_bin, tmp_path)


def given(name: str) -> pb.NetParameter:
    return checked(parse(USERS_NETS[name], pb.NetParameter(), name), name)


def learning(net: pb.NetParameter) -> list[str]:
    return list(parameter_shapes(net, (3, CROP, CROP)))


@pytest.mark.parametrize("name", USERS_NETS)
def test_frozen_at_every_cut(name: str, trainer: Trainer) -> None:
    user = given(name)
    base = train_val(user, name="base", outputs=CLASSES, data=SETTINGS)
    init = trainer.train(base, 0) / "net_iter_0.caffemodel"
    layers = learning(base)
    before = blob_hashes(init, layers)
    for cut in cuts(user):
        frozen = members(cut.below)
        net = train_val(user, name="n", outputs=CLASSES, data=SETTINGS, frozen=frozen)
        folder = trainer.train(net, 2, init)
        after = blob_hashes(folder / "net_iter_2.caffemodel", layers)
        unchanged = {layer for layer in layers if after[layer] == before[layer]}
        assert unchanged == set(frozen), cut


@pytest.mark.parametrize("name", USERS_NETS)
def test_a_base_learns_everywhere_and_its_log_tells_the_main_scores(
    name: str, trainer: Trainer
) -> None:
    net = train_val(given(name), name="base", outputs=CLASSES, data=SETTINGS)
    init = trainer.train(net, 0) / "net_iter_0.caffemodel"
    folder = trainer.train(net, 2)
    layers = learning(net)
    after = blob_hashes(folder / "net_iter_2.caffemodel", layers)
    before = blob_hashes(init, layers)
    assert [layer for layer in layers if after[layer] == before[layer]] == []
    text = (folder / "train.log").read_text()
    outputs = {
        line.split(": ")[1].split(" = ")[0] for line in text.splitlines() if "Test net out" in line
    }
    assert outputs == {"accuracy", "loss"}
    log = read_logs([folder / "train.log"])
    assert log.accuracy.iterations.tolist() == log.valid_loss.iterations.tolist() == [0, 2]
    assert set(log.accuracy.values * 8 % 1) == {0}  # of 2 x 4 images


REFERENCE = """
import json, sys, caffe
def shapes(path, phase):
    net = caffe.Net(path, phase)
    return {name: [list(blob.data.shape) for blob in blobs] for name, blobs in net.params.items()}
print(json.dumps([shapes(sys.argv[1], 0), shapes(sys.argv[1], 1), shapes(sys.argv[2], 1)]))
"""


@pytest.mark.parametrize(
    ("file", "size"),
    [("ResNet-50-deploy.prototxt", 224), ("squeezenet_v1.1_train_val.prototxt", 227)],
)
def test_public_nets_are_accepted(
    file: str, size: int, shared: Path, pycaffe: Callable[..., str], tmp_path: Path
) -> None:
    write_database(tmp_path / "db", size=size, count=2)
    data = replace(
        SETTINGS, train_source=str(tmp_path / "db"), valid_source=str(tmp_path / "db"), size=size,
        batch=1, test_batch=1,
    )  # fmt: skip
    user = checked(read_net(shared / "nets" / file), file)
    frozen = members(cuts(user)[8].below)
    net = train_val(user, name="n", outputs=20, data=data, frozen=frozen)
    (tmp_path / "net").write_text(text_format.MessageToString(net))
    (tmp_path / "deploy").write_text(
        text_format.MessageToString(deploy(user, name="n", outputs=20, data=data))
    )
    ours = {
        name: [list(shape) for shape in shapes]
        for name, shapes in parameter_shapes(net, (3, size, size)).items()
    }
    assert json.loads(pycaffe(REFERENCE, tmp_path / "net", tmp_path / "deploy")) == [ours] * 3
