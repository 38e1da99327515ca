"""What holds for every user's net: its cut's layers are frozen, and no edit goes twice."""

from collections.abc import Callable
from functools import partial

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import parse
from caffe_transfer.nets.cuts import cuts
from caffe_transfer.nets.edit import checked, deploy, train_val
from caffe_transfer.nets.layers import frozen_layers, members
from tests.edit_nets import DATA, INPUT, SETTINGS, USERS_NETS, classifier, ending, normalized
from tests.test_edit import edited, user
from tests.test_shapes import conv, layer

MSRA = 'weight_filler { type: "msra" }'


@st.composite
def nets(draw: st.DrawFn) -> str:
    """Random chains of convolutions, blocks with branches, norms and rectifiers."""
    text, bottom = draw(st.sampled_from([DATA, INPUT])), "data"
    for index in range(draw(st.integers(1, 5))):
        name = f"l{index}"
        rates = draw(st.lists(st.integers(0, 3), max_size=2))
        specs = " ".join(f"param {{ lr_mult: {rate} }}" for rate in rates)
        size = "kernel_size: 3 pad: 1"
        own = f"{specs} convolution_param {{ num_output: 3 {size} {MSRA} }}"
        text += layer("Convolution", bottom, name, own)
        kind = draw(st.sampled_from(["plain", "norm", "relu", "sum", "join", "scale"]))
        if kind == "norm":
            text += normalized(name)
        elif kind == "relu":
            text += f'layer {{ name: "{name}/relu" type: "ReLU" bottom: "{name}" top: "{name}" }}'
        elif kind == "sum" and index:
            text += layer("Eltwise", f"{bottom} {name}", f"{name}/sum")
            name = f"{name}/sum"
        elif kind == "join":
            text += conv(bottom, f"{name}/side", f"num_output: 2 {size} {MSRA}")
            text += layer("Concat", f"{name} {name}/side", f"{name}/join")
            text += conv(f"{name}/join", f"{name}/out", f"num_output: 3 kernel_size: 1 {MSRA}")
            name = f"{name}/out"
        elif kind == "scale":
            text += layer("Scale", name, f"{name}/scale", "scale_param { bias_term: true }")
            name = f"{name}/scale"
        bottom = name
    return text + classifier(bottom, "fc") + (ending("fc") if draw(st.booleans()) else "")


def as_the_user_has_it(net: pb.NetParameter, frozen: tuple[str, ...]) -> list[pb.LayerParameter]:
    """The layers between data and classifier, without what freezing sets."""
    found = []
    for each in net.layer:
        if each.type in ("Data", "Input", "Accuracy") or each.name in ("fc", "loss"):
            continue
        bare = pb.LayerParameter()
        bare.CopyFrom(each)
        if each.name in frozen:
            bare.ClearField("param")
            bare.ClearField("batch_norm_param")
        found.append(bare)
    return found


@given(nets())
def test_at_every_cut_its_layers_are_frozen_and_the_rest_is_untouched(text: str) -> None:
    net = user(text)
    mine = {each.name for each in net.layer if each.param and not any(
        spec.lr_mult for spec in each.param)}  # fmt: skip
    for cut in cuts(net):
        frozen = members(cut.below)
        made = edited(net, frozen)
        assert set(frozen_layers(made)) - mine == set(frozen) - mine
        assert set(frozen) <= set(frozen_layers(made))
        assert as_the_user_has_it(made, frozen) == as_the_user_has_it(net, frozen)
        assert cuts(made) == cuts(net)


@given(nets(), st.integers(2, 12))
def test_to_edit_again_changes_nothing(text: str, outputs: int) -> None:
    check_again(user(text), outputs)


@pytest.mark.parametrize("name", USERS_NETS)
def test_to_edit_users_nets_again_changes_nothing(name: str) -> None:
    check_again(user(USERS_NETS[name]), 11)


def check_again(net: pb.NetParameter, outputs: int) -> None:
    made = partial(deploy, name="made", outputs=outputs, data=SETTINGS)
    check_made_again(net, made)
    for cut in cuts(net):
        frozen = members(cut.below)
        check_made_again(
            net, partial(train_val, name="made", outputs=outputs, data=SETTINGS, frozen=frozen)
        )


def check_made_again(
    net: pb.NetParameter, make: Callable[[pb.NetParameter], pb.NetParameter]
) -> None:
    once = make(net)
    assert parse(text_format.MessageToString(once), pb.NetParameter(), "made") == once
    assert make(checked(once, "made")) == once
