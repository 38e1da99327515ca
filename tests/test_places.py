"""Where networks are cut: by the net's own cuts, by those that a study names, inside a block."""

from dataclasses import replace
from pathlib import Path

import pytest

from caffe_transfer.errors import BadInput
from caffe_transfer.nets.cuts import cuts
from caffe_transfer.nets.layers import members
from caffe_transfer.nets.places import numbered, place_of, study_cuts
from caffe_transfer.nets.render import plain_net, torn_paths
from caffe_transfer.studies.load import load_study, paper
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study

RESIDUAL = Path(__file__).parent / "data/residual.prototxt"
FIRST = ("conv1", "bn1", "scale1")
BLOCK_A = ("a1", "bn_a1", "scale_a1", "a2")


@pytest.fixture(scope="module")
def residual() -> Study:
    return load_study("fashion-mnist").with_net(str(RESIDUAL))


def test_the_papers_cuts_are_its_weight_layers() -> None:
    net = plain_net(paper())
    for network in paper().networks:
        place = place_of(network, paper(), net)
        assert place.frozen == tuple(
            ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7"][: network.frozen_count]
        )
        if network.n:
            assert place.record is not None
            assert place.record.n == network.n
            assert len(place.record.copied) == network.copied_count
        else:
            assert place.record is None


def test_blocks_are_copied_whole(residual: Study) -> None:
    net = plain_net(residual)
    assert [cut.name for cut in study_cuts(residual, net)] == ["conv1", "a", "b"]
    place = place_of(Network.parse("transfer0A0B_1_2"), residual, net)
    assert place.copied == place.frozen == FIRST + BLOCK_A
    place = place_of(Network.parse("transfer-ft0A0B_1_2"), residual, net)
    assert (place.copied, place.frozen) == (FIRST + BLOCK_A, ())
    place = place_of(Network.parse("transfer0A0B_1_1-preserve1"), residual, net)
    assert (place.copied, place.frozen) == (FIRST + BLOCK_A, FIRST)


def test_random_filters_go_on_measuring_their_statistics(residual: Study) -> None:
    place = place_of(Network.parse("nolearn_1_2"), residual, plain_net(residual))
    assert place.copied == ()
    assert place.frozen == ("conv1", "scale1", "a1", "scale_a1", "a2")


def test_a_study_counts_the_cuts_that_it_names(residual: Study) -> None:
    study = replace(residual, cuts=("relu_a1", "b"))
    net = plain_net(study)
    place = place_of(Network.parse("transfer0A0B_1_1"), study, net)
    assert place.copied == (*FIRST, "a1", "bn_a1", "scale_a1")
    assert place.record is not None
    assert (place.record.n, place.record.name) == (1, "relu_a1")
    upper = place_of(Network.parse("transfer0A0B_1_2"), study, net)
    assert upper.copied == members(cuts(net)[2].below)
    (sentence,) = torn_paths(study)
    assert "cut relu_a1 lies inside a block: what is above it reads conv1 from below" in sentence
    assert torn_paths(residual) == []


def test_cuts_stand_in_the_order_of_the_net(residual: Study) -> None:
    for names in (("b", "a"), ("conv1", "relu1")):
        study = replace(residual, cuts=names)
        with pytest.raises(BadInput, match=rf"cut '{names[1]}' does not lie above '{names[0]}'"):
            study_cuts(study, plain_net(study))
    with pytest.raises(BadInput, match="has no blob or layer 'conv11'; did you mean conv1"):
        study_cuts(replace(residual, cuts=("conv11",)), plain_net(residual))


def test_out_of_range(residual: Study) -> None:
    net = plain_net(residual)
    with pytest.raises(BadInput, match=r"n = 4 is not a place to cut at: .* has 3 cuts"):
        place_of(Network.parse("transfer0A0B_1_4"), residual, net)
    with pytest.raises(BadInput, match=r"preserve = 2 reaches past .* it goes from 0 to 1"):
        place_of(Network.parse("transfer0A0B_1_2-preserve2"), residual, net)


def test_a_name_becomes_a_number(residual: Study) -> None:
    net = plain_net(residual)
    assert numbered(residual, "a", net) == (residual, 2)
    assert numbered(residual, "relu_a", net) == (residual, 2)
    named, n = numbered(residual, "a1", net)
    assert (named.cuts, n) == (("a1",), 1)
    chosen = replace(residual, cuts=("conv1", "b"))
    assert numbered(chosen, "b", net) == (chosen, 2)
    with pytest.raises(BadInput, match="does not name the cut 'a'; it names conv1, b"):
        numbered(chosen, "a", net)
