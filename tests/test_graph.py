"""A net as a graph."""

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.graph import Graph, Value
from caffe_transfer.nets.phases import TEST, TRAIN


def net_of(edges: list[tuple[list[int], int]]) -> pb.NetParameter:
    """Layers from 1 on, each with the numbers that it reads; 0 is the data, the last a loss."""
    net = pb.NetParameter()
    net.layer.add(name="0", type="Data", top=["0", "label"])
    for reads, number in edges:
        kind = "Eltwise" if number < len(edges) else "SoftmaxWithLoss"
        net.layer.add(name=str(number), type=kind, bottom=map(str, reads), top=[str(number)])
    return net


@st.composite
def nets(draw: st.DrawFn) -> list[tuple[list[int], int]]:
    size = draw(st.integers(2, 8))
    return [
        (sorted(draw(st.sets(st.integers(0, number - 1), min_size=1, max_size=3)))
         if number < size else [draw(st.integers(0, number - 1))], number)
        for number in range(1, size + 1)
    ]  # fmt: skip


def paths(edges: list[tuple[list[int], int]]) -> list[list[int]]:
    """Every path from the data to the loss."""
    reads = {number: below for below, number in edges}

    def up(at: int) -> list[list[int]]:
        if at == 0:
            return [[0]]
        return [[*path, at] for below in reads[at] for path in up(below)]

    return up(len(edges))


@given(nets())
def test_gates_are_what_every_path_passes(edges: list[tuple[list[int], int]]) -> None:
    found = {value.layer for value in Graph(net_of(edges)).gates()}
    everywhere = set.intersection(*map(set, paths(edges)))
    assert found == everywhere - {len(edges)}


def test_values_in_place_are_several() -> None:
    net = text_format.Parse(
        """
        layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN } }
        layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TEST } }
        layer { name: "c" type: "Convolution" bottom: "data" top: "x" }
        layer { name: "r" type: "ReLU" bottom: "x" top: "x" }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "x" bottom: "label" }
        """,
        pb.NetParameter(),
    )
    graph = Graph(net)  # of TRAIN, in which there is one data layer
    assert graph.bottoms[1] == (Value("data", 0),)
    assert [value.layer for value in graph.gates() if value.blob == "x"] == [1, 2]


def test_the_main_loss_is_the_heaviest() -> None:
    net = net_of([([0], 1), ([1], 2)])
    net.layer.add(name="aux", type="SoftmaxWithLoss", bottom=["1", "label"], loss_weight=[0.3])
    graph = Graph(net)
    assert graph.layers[graph.main_end()].name == "2"
    net.layer[-1].loss_weight[0] = 1
    with pytest.raises(BadInput, match="several losses of one weight, 2, aux; give the main one"):
        Graph(net).main_end()


def test_nets_without_a_loss() -> None:
    net = net_of([([0], 1), ([1], 2)])
    del net.layer[-1]
    graph = Graph(net)
    assert graph.layers[graph.main_end()].name == "1"
    net.layer.add(name="other", type="Power", bottom=["0"], top=["other"])
    with pytest.raises(BadInput, match="no loss, and several outputs, 1, other; add a loss"):
        Graph(net).main_end()
    with pytest.raises(BadInput, match="no loss, and no layers"):
        Graph(pb.NetParameter()).main_end()


def test_a_blob_that_no_layer_makes_is_missing() -> None:
    net = pb.NetParameter()
    net.layer.add(name="both", type="Eltwise", bottom=["x", "y"], top=["z"])
    net.layer.add(name="late", type="Power", bottom=["z"], top=["x"])
    graph = Graph(net)
    assert graph.missing == [("x", "y"), ()]
    assert graph.bottoms == [(), (Value("z", 0),)]


def test_each_phase_has_a_graph_of_its_own() -> None:
    net = net_of([([0], 1)])
    for phase in (TRAIN, TEST):
        net.layer.add(name="2", type="BatchNorm", bottom=["0"], top=["2"]).include.add(phase=phase)
    net.layer.add(name="3", type="EuclideanLoss", bottom=["2", "label"], loss_weight=[2])
    for graph in (Graph(net), Graph(net, TEST)):
        assert [layer.name for layer in graph.layers] == ["0", "1", "2", "3"]
        assert graph.bottoms[3][0] == Value("2", 2)
        assert graph.main_end() == 3
        assert [value.blob for value in graph.gates()] == ["0", "2"]


def test_what_watches_is_no_end() -> None:
    net = net_of([([0], 1), ([1], 2)])
    net.layer[-1].type = "InnerProduct"
    net.layer.add(name="accuracy", type="Accuracy", bottom=["2", "label"], top=["accuracy"])
    net.layer.add(name="silence", type="Silence", bottom=["1"])
    net.layer.add(name="unread", type="Input", top=["unread"])
    graph = Graph(net)
    assert graph.layers[graph.main_end()].name == "2"
