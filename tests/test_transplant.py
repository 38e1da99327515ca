"""Blobs of layers 1..n, byte for byte; pycaffe reads what was written."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.errors import BadInput, FormatError
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.formats.hashes import blob_hashes
from caffe_transfer.formats.layer_records import same_shape
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.render import render
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Network
from caffe_transfer.training.transplant import Target, transplant, transplant_into
from tests.models import write_model

LEARNED = ["conv1", "conv2", "fc3"]
DEMO = load_study("fashion-mnist")


@given(
    st.sampled_from(["V0", "V1", "V2"]), st.integers(1, 3), st.sampled_from(["", ".h5"]),
    st.integers(0, 99),
)  # fmt: skip
def test_copied_blobs_are_the_sources(
    tmp_path_factory: pytest.TempPathFactory, form: str, n: int, ending: str, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("copy")
    arrays = write_model(folder / "source", form, seed)
    done = transplant(folder / "source", folder / f"out{ending}", n)
    assert done.copied == tuple(LEARNED[:n])
    assert done.ignored == tuple(LEARNED[n:])
    assert done.fresh is None
    with open_model(folder / f"out{ending}") as model:
        assert set(model.with_blobs) == set(LEARNED[:n])
        for name, layer in model.with_blobs.items():
            assert [blob.tobytes() for blob in layer.blobs] == [a.tobytes() for a in arrays[name]]


def test_hdf5_and_back(tmp_path: Path) -> None:
    arrays = write_model(tmp_path / "a")
    renamed = {"conv1": "conv1", "conv2": "conv2", "fc3": "fc6"}
    net = pb.NetParameter.FromString((tmp_path / "a").read_bytes())
    for layer in net.layer:
        layer.name = renamed.get(layer.name, layer.name)
    (tmp_path / "a").write_bytes(net.SerializeToString())
    transplant(tmp_path / "a", tmp_path / "b.h5", 3)
    transplant(tmp_path / "b.h5", tmp_path / "c", 3)
    with open_model(tmp_path / "c") as model:
        assert model.format == "V2"
        assert list(model.with_blobs) == ["conv1", "conv2", "fc6"]
        assert model.with_blobs["fc6"].blobs[0].tobytes() == arrays["fc3"][0].tobytes()


def target_net(shapes: dict[str, list[tuple[int, ...]]], n: int, **names: str) -> Target:
    """A net that takes its first `n` layers."""
    return Target(tuple(shapes)[:n], shapes, names)


def test_the_table_of_a_target_net(tmp_path: Path) -> None:
    write_model(tmp_path / "a")
    shapes: dict[str, list[tuple[int, ...]]]
    shapes = {"conv1": [(4, 3, 2, 2), (4,)], "conv2": [(5, 4, 1, 1), (5,)], "new": [(7, 20)]}
    done = transplant_into(target_net(shapes, 2), tmp_path / "a", tmp_path / "out")
    assert (done.copied, done.fresh, done.ignored) == (("conv1", "conv2"), ("new",), ("fc3",))


@pytest.mark.parametrize("ending", ["", ".h5"])
@pytest.mark.parametrize("form", ["V0", "V1", "V2"])
def test_layers_of_other_names(tmp_path: Path, form: str, ending: str) -> None:
    arrays = write_model(tmp_path / "a", form)
    shapes: dict[str, list[tuple[int, ...]]]
    shapes = {"first": [(4, 3, 2, 2), (4,)], "conv2": [(5, 4, 1, 1), (5,)]}
    out = tmp_path / f"out{ending}"
    done = transplant_into(target_net(shapes, 2, first="conv1"), tmp_path / "a", out)
    assert (done.copied, done.fresh, done.ignored) == (("first", "conv2"), (), ("fc3",))
    with open_model(out) as model:
        assert set(model.with_blobs) == {"first", "conv2"}
        ours = [blob.tobytes() for blob in model.with_blobs["first"].blobs]
        assert ours == [array.tobytes() for array in arrays["conv1"]]


def test_what_does_not_fit_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    write_model(tmp_path / "a")
    small: dict[str, list[tuple[int, ...]]] = {"conv1": [(4, 3, 3, 3), (4,)], "conv9": [(1,)]}
    with pytest.raises(
        BadInput, match=r"layer conv1 has the shape 4x3x2x2 \+ 4 in .* and 4x3x3x3 \+ 4 in the"
    ):
        transplant_into(target_net(small, 1), tmp_path / "a", tmp_path / "out")
    with pytest.raises(
        BadInput, match=r"a lacks layer conv9 of the net and has conv2, fc3 instead; copy fewer"
    ):
        transplant_into(target_net(small, 2), tmp_path / "a", tmp_path / "out")
    both: dict[str, list[tuple[int, ...]]] = {"conv1": [(1,)], "conv2": [(1,)], "fc3": [(1,)]}
    with pytest.raises(BadInput, match=r"layer conv1 has .*, and 2 more layers differ; copy"):
        transplant_into(target_net(both, 3), tmp_path / "a", tmp_path / "out")
    for n in (0, 4):
        with pytest.raises(BadInput, match=f"n = {n} cannot be copied: .* choose 1 to 3"):
            transplant(tmp_path / "a", tmp_path / "out", n)
    with pytest.raises(BadInput, match="a has no layer 'conv7' with parameters; it has conv1, "):
        transplant(tmp_path / "a", tmp_path / "out", "conv7")
    (tmp_path / "cut").write_bytes((tmp_path / "a").read_bytes()[:-3])
    with pytest.raises(FormatError, match="cut"):
        transplant(tmp_path / "cut", tmp_path / "out", 1)
    assert not (tmp_path / "out").exists()


def test_up_to_a_layer_by_name(tmp_path: Path) -> None:
    write_model(tmp_path / "a")
    assert transplant(tmp_path / "a", tmp_path / "out", "conv2").copied == ("conv1", "conv2")


def test_parameters_of_normalisation_are_copied_with_the_layer_below(tmp_path: Path) -> None:
    net = pb.NetParameter()
    kinds = {"c1": "Convolution", "bn1": "BatchNorm", "s1": "Scale", "c2": "Deconvolution",
             "p2": "PReLU", "f3": "InnerProduct"}  # fmt: skip
    for name, kind in kinds.items():
        net.layer.add(name=name, type=kind).blobs.add(shape=pb.BlobShape(dim=[1]), data=[1])
    (tmp_path / "m").write_bytes(net.SerializeToString())
    done = transplant(tmp_path / "m", tmp_path / "out", 1)
    assert (done.copied, done.ignored) == (("c1", "bn1", "s1"), ("c2", "p2", "f3"))


def test_hdf5_keeps_no_order(tmp_path: Path) -> None:
    write_model(tmp_path / "a", suffixes=dict.fromkeys(LEARNED, "x"))
    transplant(tmp_path / "a", tmp_path / "a.h5", 3)
    with pytest.raises(BadInput, match=r"keeps no order of layers, .* name the net with --into"):
        transplant(tmp_path / "a.h5", tmp_path / "out", 1)
    named = target_net({"conv2x": [(5, 4, 1, 1), (5,)], "conv1x": [(4, 3, 2, 2), (4,)]}, 1)
    assert transplant_into(named, tmp_path / "a.h5", tmp_path / "out").copied == ("conv2x",)


def test_shapes_with_leading_ones_are_the_same() -> None:
    assert same_shape((1, 1, 1, 5), (5,))
    assert same_shape((1, 1, 2, 5), (2, 5))
    assert not same_shape((1, 1, 2, 5), (5, 2))
    assert not same_shape((1, 1, 1, 1, 5), (5,))


START = """
import sys, os, json, hashlib, caffe
os.chdir(sys.argv[1])
def start(net, weights):
    caffe.set_random_seed(7)
    made = caffe.Net(net, caffe.TEST)
    made.copy_from(weights)
    return {k.replace('-new', ''): [hashlib.sha256(b.data.tobytes()).hexdigest() for b in v]
            for k, v in made.params.items()}
print(json.dumps([start('ours.prototxt', 'init.caffemodel'),
                  start('renamed.prototxt', 'base.caffemodel')]))
"""
MAKE_BASE = """
import sys, os, caffe
os.chdir(sys.argv[1])
caffe.set_random_seed(3)
caffe.Net('base.prototxt', caffe.TEST).save('base.caffemodel')
"""


def test_copying_and_renaming_start_from_identical_blobs(
    pycaffe: Callable[..., str], tmp_path: Path
) -> None:
    """Our init.caffemodel, and the authors' way: the whole base into a net with renamed layers."""
    base, network = Network.parse("half0A"), Network.parse("transfer0A0B_1_3")
    (tmp_path / "base.prototxt").write_text(render(base, DEMO)["deploy.prototxt"])
    ours = render(network, DEMO)["deploy.prototxt"]
    (tmp_path / "ours.prototxt").write_text(ours)
    renamed = ours
    for layer in ("conv4", "conv5", "fc6", "fc7", "fc8"):
        renamed = renamed.replace(f'name: "{layer}"', f'name: "{layer}-new"')
    (tmp_path / "renamed.prototxt").write_text(renamed)
    pycaffe(MAKE_BASE, tmp_path)
    transplant(tmp_path / "base.caffemodel", tmp_path / "init.caffemodel", 3)
    copied, loaded = json.loads(pycaffe(START, tmp_path))
    assert copied == loaded
    assert len(copied) == 8
    before = blob_hashes(tmp_path / "base.caffemodel", list(copied))
    same = [layer for layer in copied if copied[layer] == before[layer]]
    assert same == ["conv1", "conv2", "conv3"]
