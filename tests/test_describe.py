"""What is in a file."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from caffe_transfer.comparison.contents import (
    DatabaseContents,
    MeanContents,
    ModelContents,
    StateContents,
)
from caffe_transfer.comparison.describe import Contents, describe
from caffe_transfer.comparison.net_contents import NetContents, SolverContents
from caffe_transfer.errors import BadInput, FormatError, Incomplete
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.study import Study
from tests.models import write_model
from tests.small_study import SmallRun


def model(path: Path, *, stats: bool = False) -> ModelContents:
    found = describe(path, stats=stats)
    assert isinstance(found, ModelContents)
    return found


@pytest.mark.parametrize("form", ["V0", "V1", "V2"])
def test_models_with_and_without_an_ending(tmp_path: Path, form: str) -> None:
    for name in ("m.caffemodel", "caffe_imagenet_train_iter_450000"):
        write_model(tmp_path / name, form)
        found = model(tmp_path / name)
        assert (found.format, found.name, found.parameters) == (form, "small", 119)
        assert [(each.name, each.n) for each in found.layers] == [
            ("conv1", 1), ("relu1", None), ("conv2", 2), ("fc3", 3),
        ]  # fmt: skip


def test_companions_have_the_number_of_their_layer(tmp_path: Path) -> None:
    net = pb.NetParameter()
    kinds = {"c1": "Convolution", "bn1": "BatchNorm", "s1": "Scale", "c2": "Convolution"}
    for name, kind in kinds.items():
        net.layer.add(name=name, type=kind).blobs.add(shape=pb.BlobShape(dim=[1]), data=[1])
    (tmp_path / "m").write_bytes(net.SerializeToString())
    assert [each.n for each in model(tmp_path / "m").layers] == [1, 1, 1, 2]


def test_hdf5_numbers_what_its_names_number(tmp_path: Path) -> None:
    for names, numbers in ((("conv1", "fc2"), [1, 2]), (("a", "b"), [None, None])):
        with h5py.File(tmp_path / "m.h5", "w") as file:
            for name in names:
                file[f"data/{name}/0"] = np.zeros(2, np.float32)
        assert [each.n for each in model(tmp_path / "m.h5").layers] == numbers


def test_statistics_on_request(tmp_path: Path) -> None:
    arrays = write_model(tmp_path / "m")
    assert all(b.statistics is None for layer in model(tmp_path / "m").layers for b in layer.blobs)
    found = model(tmp_path / "m", stats=True)
    for layer in found.layers:
        for blob, array in zip(layer.blobs, arrays[layer.name], strict=True):
            assert blob.statistics is not None
            assert blob.statistics.most == array.max()


def test_what_a_training_leaves(small_run: SmallRun) -> None:
    small_run.train("half0A")
    folder = small_run.folder.network("half0A")
    state = describe(folder.snapshots / "net_iter_4.solverstate", stats=True)
    assert isinstance(state, StateContents)
    assert (state.iteration, state.current_step, len(state.history)) == (4, 0, 16)
    assert state.learned_net.startswith("snapshots/net_iter_4.caffe")
    assert state.history[0].statistics is not None
    solver = describe(folder.solver)
    assert isinstance(solver, SolverContents)
    assert (solver.net, solver.max_iter) == ("train_val.prototxt", 4)
    net = describe(folder.net)
    assert isinstance(net, NetContents)
    assert (net.name, net.notes) == ("mini half0A", ())  # its database is there
    conv1 = next(layer for layer in net.layers if layer.name == "conv1")
    assert (conv1.n, conv1.lr_mult, conv1.parameters) == (1, (1, 2), ((16, 1, 5, 5), (16,)))


def test_databases_and_means(prepared: tuple[Path, Study]) -> None:
    data = RunFolder(prepared[0]).data
    database = describe(data.lmdb("half0A_train"))
    assert isinstance(database, DatabaseContents)
    assert (database.records, database.view_of) == (8, None)
    assert database.first is not None
    assert (database.first.encoded, database.first.shape) == (False, (1, 28, 28))
    mean = describe(data.mean, stats=True)
    assert isinstance(mean, MeanContents)
    assert mean.blob.shape == (1, 1, 28, 28)
    assert mean.blob.statistics is not None
    assert mean.blob.statistics.mean == pytest.approx(mean.channel_means[0])


def test_all_of_them_are_plain_data(prepared: tuple[Path, Study], tmp_path: Path) -> None:
    data = RunFolder(prepared[0]).data
    write_model(tmp_path / "m")
    (tmp_path / "s.prototxt").write_text("max_iter: 3")
    (tmp_path / "n.prototxt").write_text('layer { name: "x" type: "ReLU" }')
    kinds = []
    for path in (data.lmdb("half0A_train"), data.mean, tmp_path / "m", tmp_path / "s.prototxt",
                 tmp_path / "n.prototxt"):  # fmt: skip
        found: Contents = describe(path)
        kinds.append(json.loads(json.dumps(found.as_dict()))["kind"])
    assert kinds == ["LMDB", "binaryproto", "caffemodel", "solver", "net"]


def test_what_is_nothing_of_caffes(tmp_path: Path, prepared: tuple[Path, Study]) -> None:
    (tmp_path / "noise").write_bytes(b"\xff\xff\xff noise")
    with pytest.raises(BadInput, match="is not a caffemodel, solverstate, binaryproto, LMDB or"):
        describe(tmp_path / "noise")
    (tmp_path / "typo.prototxt").write_text("nam: 1\n")
    with pytest.raises(FormatError, match=r"typo\.prototxt .* line 1"):
        describe(tmp_path / "typo.prototxt")
    for name in ("a.caffemodel", "a.solverstate", "a.binaryproto"):
        (tmp_path / name).write_bytes(b"\xff\xff\xff noise")
        with pytest.raises(FormatError, match=name):
            describe(tmp_path / name)
    with pytest.raises(Incomplete, match="there is no file"):
        describe(tmp_path / "none")
    with pytest.raises(FormatError, match="is not an LMDB"):
        describe(tmp_path)
    with pytest.raises(BadInput, match="has no blobs; statistics are of models"):
        describe(RunFolder(prepared[0]).data.lmdb("half0A_train"), stats=True)
