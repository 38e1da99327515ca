"""Texts in binary files that are not UTF-8."""

from pathlib import Path

import pytest
from google.protobuf.message import DecodeError

from caffe_transfer.errors import FormatError
from caffe_transfer.formats.binary import merge_binary
from caffe_transfer.formats.model_upgrade import read_settings
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net
from caffe_transfer.formats.solverstate import open_state
from tests.models import write_model


def test_fields_are_added() -> None:
    net = pb.NetParameter(name="old", input=["data"])
    merge_binary(net, pb.NetParameter(name="café", input=["label"]).SerializeToString())
    assert net == pb.NetParameter(name="café", input=["data", "label"])


@pytest.mark.parametrize(
    ("net", "field"),
    [
        (pb.NetParameter(name="xy"), "NetParameter.name"),
        (pb.NetParameter(input=["data", "xy"]), "NetParameter.input"),
        (pb.NetParameter(layer=[{}, {"top": ["a", "xy"]}]), "LayerParameter.top"),
        (
            pb.NetParameter(layer=[{"embed_param": {"weight_filler": {"type": "xy"}}}]),
            "FillerParameter.type",
        ),
    ],
)
def test_a_text_that_is_not_utf8_is_named(net: pb.NetParameter, field: str) -> None:
    content = net.SerializeToString().replace(b"xy", b"x\xff")
    with pytest.raises(DecodeError, match=rf"^{field} is not text in UTF-8$"):
        merge_binary(pb.NetParameter(), content)


@pytest.mark.parametrize("form", ["V0", "V1", "V2"])
def test_no_reader_takes_one(form: str, tmp_path: Path) -> None:
    model, state = tmp_path / "x.caffemodel", tmp_path / "x.solverstate"
    write_model(model, form)
    content = model.read_bytes().replace(b"conv1", b"conv\xff")
    model.write_bytes(content)
    with pytest.raises(FormatError, match=r"x\.caffemodel is not a prototxt of this kind"):
        read_net(model)
    with pytest.raises(FormatError, match="is not text in UTF-8; fetch or train it again"):
        read_settings(model, memoryview(content))
    message = pb.SolverState(iter=1, current_step=0, learned_net="xy")
    state.write_bytes(message.SerializeToString().replace(b"xy", b"x\xff"))
    with (
        pytest.raises(FormatError, match=r"learned_net is not text in UTF-8; resume from"),
        open_state(state),
    ):
        pass


def test_required_fields(tmp_path: Path) -> None:
    net = pb.NetParameter(layer=[{"type": "ReLU"}, {"type": "Clip", "clip_param": {"min": 0}}])
    model, text = tmp_path / "x.caffemodel", tmp_path / "x.prototxt"
    model.write_bytes(net.SerializePartialToString())
    text.write_text('layer { type: "ReLU" } layer { type: "Clip" clip_param { min: 0 } }')
    with pytest.raises(FormatError, match=r"it lacks layer\[1\]\.clip_param\.max; fetch or train"):
        read_settings(model, memoryview(model.read_bytes()))
    with pytest.raises(FormatError, match="is not a prototxt of this kind"):
        read_net(model)
    with pytest.raises(FormatError, match=r"it lacks layer\[1\]\.clip_param\.max; correct it"):
        read_net(text)
