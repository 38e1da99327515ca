"""Which parameters of a net a model has; pycaffe says what Caffe does with the pair."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from caffe_transfer.comparison.fit import Fit, fit
from caffe_transfer.errors import BadInput, FormatError, Incomplete
from caffe_transfer.formats.proto import caffe_pb2 as pb
from tests.models import write_model

DATA = 'type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 3 dim: 3 } }'
NET = f"""
layer {{ name: "data" {DATA} }}
layer {{ name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param {{ num_output: 4 kernel_size: 2 }} }}
layer {{ name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }}
layer {{ name: "conv2" type: "Convolution" bottom: "conv1" top: "conv2"
  convolution_param {{ num_output: 5 kernel_size: 1 }} }}
layer {{ name: "fc3" type: "InnerProduct" bottom: "conv2" top: "fc3"
  inner_product_param {{ num_output: 2 }} }}
"""
LOAD = """
import sys, caffe
net = caffe.Net(sys.argv[1], caffe.TEST)
net.copy_from(sys.argv[2])
print("loaded")
"""
SAVE = "import sys, caffe; caffe.Net(sys.argv[1], caffe.TEST).save_hdf5(sys.argv[2])"
# A change of the net -> what Caffe does, and what is (missing, unexpected, misshapen, miscounted).
CASES = {
    "same": ("", "", True, [], [], [], []),
    "kernel": ("kernel_size: 2", "kernel_size: 1", False, [], [], ["conv1 0", "fc3 0"], []),
    "renamed": ('"fc3" type', '"new" type', True, ["new 0", "new 1"], ["fc3 0", "fc3 1"], [], []),
    "no bias": ("num_output: 5", "num_output: 5 bias_term: false", False, [], ["conv2 1"], [],
                ["conv2"]),
    "no weights": ('"fc3" type: "InnerProduct"', '"fc3" type: "ReLU"', False, [],
                   ["fc3 0", "fc3 1"], [], ["fc3"]),
    "weights": ('"relu1" type: "ReLU"', '"relu1" type: "PReLU"', False, ["relu1 0"], [], [],
                ["relu1"]),
}  # fmt: skip


def names(found: Fit) -> list[list[str]]:
    groups = (found.missing, found.unexpected, found.misshapen)
    return [*([blob.name for blob in group] for group in groups), list(found.miscounted)]


def write_net(path: Path, old: str = "", new: str = "") -> None:
    assert old in NET
    path.write_text(NET.replace(old, new) if old else NET)


def caffe_loads(caffe_prefix: Path, net: Path, model: Path) -> bool:
    env = os.environ | {"GLOG_minloglevel": "3"}
    python = caffe_prefix / "venv/bin/python"
    done = subprocess.run([python, "-c", LOAD, net, model], capture_output=True, env=env)
    return done.returncode == 0


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("form", ["V1", "V2"])
def test_what_caffe_loads(
    pycaffe: Callable[..., str], caffe_prefix: Path, tmp_path: Path, case: str, form: str
) -> None:
    old, new, loads, *expected = CASES[case]
    net, model = tmp_path / "net.prototxt", tmp_path / "m.caffemodel"
    write_net(net, old, new)
    write_model(model, form)
    found = fit(model, net)
    assert names(found) == expected
    assert found.stops is not loads
    assert caffe_loads(caffe_prefix, net, model) is loads


def test_four_axes_of_today_are_other_shapes(
    pycaffe: Callable[..., str], caffe_prefix: Path, tmp_path: Path
) -> None:
    net, model = tmp_path / "net.prototxt", tmp_path / "m.caffemodel"
    write_net(net)
    write_model(model)
    message = pb.NetParameter.FromString(model.read_bytes())
    message.layer[0].blobs[1].shape.dim[:] = [1, 1, 1, 4]
    model.write_bytes(message.SerializeToString())
    found = fit(model, net)
    assert [(b.name, b.in_model, b.in_net) for b in found.misshapen] == [
        ("conv1 1", (1, 1, 1, 4), (4,))
    ]
    assert not caffe_loads(caffe_prefix, net, model)


def test_hdf5_models_leave_out_what_is_shared(
    pycaffe: Callable[..., str], caffe_prefix: Path, tmp_path: Path
) -> None:
    net, model = tmp_path / "net.prototxt", tmp_path / "m.h5"
    net.write_text("""
        layer { name: "i" type: "Input" top: "i" input_param { shape { dim: 1 dim: 4 } } }
        layer { name: "a" type: "InnerProduct" bottom: "i" top: "a" param { name: "w" }
          inner_product_param { num_output: 4 } }
        layer { name: "b" type: "InnerProduct" bottom: "a" top: "b" param { name: "w" }
          inner_product_param { num_output: 4 } }
    """)
    pycaffe(SAVE, net, model)
    found = fit(model, net)
    assert (found.fits, found.fitting) == (True, 4)
    assert caffe_loads(caffe_prefix, net, model)


def test_more_in_the_model_fits_and_less_does_not(tmp_path: Path) -> None:
    write_model(tmp_path / "m")
    (tmp_path / "small.prototxt").write_text(NET[: NET.index('layer { name: "fc3"')])
    found = fit(tmp_path / "m", tmp_path / "small.prototxt")
    assert (found.fits, found.fitting, len(found.unexpected)) == (True, 4, 2)
    write_net(tmp_path / "net.prototxt", '"fc3" type', '"new" type')
    assert not fit(tmp_path / "m", tmp_path / "net.prototxt").fits
    assert found.as_dict()["unexpected"][0] == {
        "name": "fc3 0", "in_model": (2, 20), "in_net": None,
    }  # fmt: skip


def test_images_of_unknown_size_leave_axes_open(tmp_path: Path) -> None:
    write_model(tmp_path / "m", "V1")
    net = tmp_path / "net.prototxt"
    data = 'type: "Data" top: "data" data_param { batch_size: 1 source: "none" }'
    write_net(net, DATA, data)
    found = fit(tmp_path / "m", net)
    assert [(each.name, each.in_net) for each in found.unsure] == [
        ("conv1 0", (4, None, 2, 2)), ("fc3 0", (2, None)),
    ]  # fmt: skip
    assert (found.fits, found.fitting) == (True, 4)
    known = fit(tmp_path / "m", net, (3, 3, 3))
    assert (known.fits, known.fitting, known.unsure) == (True, 6, ())
    text = net.read_text()
    for old, new, misshapen in (
        ("kernel_size: 2", "kernel_size: 3", ["conv1 0"]),
        ("num_output: 2", "num_output: 3", ["fc3 0", "fc3 1"]),
        ("kernel_size: 1", "kernel_size: 3", ["conv2 0"]),
    ):
        net.write_text(text.replace(old, new))
        found = fit(tmp_path / "m", net)
        assert (found.fits, [each.name for each in found.misshapen]) == (False, misshapen)


def test_what_cannot_be_said(tmp_path: Path) -> None:
    write_model(tmp_path / "m")
    net = tmp_path / "net.prototxt"
    write_net(net, DATA, 'type: "Data" top: "data" data_param { batch_size: 1 source: "none" }')
    with pytest.raises(FormatError, match=r"net.prototxt is not a whole .caffemodel"):
        fit(net, net, (3, 3, 3))
    write_net(net, 'bottom: "conv2"', 'bottom: "poll"')
    with pytest.raises(BadInput, match=r"net.prototxt: layer 'fc3' reads blob 'poll', which no"):
        fit(tmp_path / "m", net)
    with pytest.raises(Incomplete, match="there is no"):
        fit(tmp_path / "m", tmp_path / "none.prototxt")
