"""Network -> rendered nets and solver -> parsed back -> checked.

Two dialects of one net: "1.0" (format V2, today's Caffe) and "2014" (format V0), in which the
files are the authors' byte for byte.  docs/dialects.md tells the differences.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2
from google.protobuf import text_encoding

from caffe_transfer import paths
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import parse
from caffe_transfer.formats.upgrade import upgrade_net
from caffe_transfer.nets.check import check_net_1_0, check_net_2014, check_solver
from caffe_transfer.nets.layers import WeightLayer, check_cut, members, weight_layers
from caffe_transfer.studies.network import Mode, Network
from caffe_transfer.studies.study import Study

DIALECTS = ("1.0", "2014")
FRESH_SUFFIX = "-new"
NET_2014 = "caffenet"
# The authors kept all 1000 outputs for tasks of 500 classes.
OUTPUTS_2014 = 1000
# No class of ILSVRC2012 has more images, so that the authors' reduced-1300 is the whole set.
LARGEST_CLASS_2014 = 1300


@dataclass(frozen=True)
class LearnedLayer:
    """A weight layer as the templates see it.

    Attributes:
        index: counts from 1 in the order in which the template names its layers.
    """

    name: str
    frozen: bool
    index: int

    def position(self, kind: str) -> str:
        """The name of a companion layer: relu3 beside conv3."""
        return f"{kind}{self.index}"


class LearnedLayers(dict[str, LearnedLayer]):
    """The weight layers of a template by the names that it gives them, made as it names them.

    Args:
        frozen, fresh: names of layers that do not learn, and of those that get `suffix`.
    """

    def __init__(self, frozen: Collection[str], fresh: Collection[str] = (), suffix: str = ""):
        super().__init__()
        self._frozen, self._fresh, self._suffix = frozen, fresh, suffix

    def __missing__(self, name: str) -> LearnedLayer:
        written = name + self._suffix if name in self._fresh else name
        layer = LearnedLayer(written, name in self._frozen, len(self) + 1)
        self[name] = layer
        return layer


def render(network: Network, study: Study, dialect: str = "1.0") -> dict[str, str]:
    """The prototxts of one network's folder: file name -> text, parsed back and checked.

    Raises:
        BadInput: the dialect is unknown, or the study's net cannot be said in it.
    """
    if dialect not in DIALECTS:
        raise BadInput(f"dialect {dialect!r} is unknown; choose one of {', '.join(DIALECTS)}")
    return _render_2014(network, study) if dialect == "2014" else _render_1_0(network, study)


def parsed_net(files: Mapping[str, str]) -> pb.NetParameter:
    """The net among rendered files of dialect 1.0."""
    name = str(paths.NetworkFolder.names().net)
    return parse(files[name], pb.NetParameter(), name)


def _render_1_0(network: Network, study: Study) -> dict[str, str]:
    folder = paths.NetworkFolder.names()
    context = _context_1_0(network, study)
    layers = _weight_layers(study, lambda learned: _net_1_0(context | {"learned": learned}))
    check_cut(network, layers, study.net)
    frozen = members(layers[: network.frozen_count])
    context["learned"] = LearnedLayers(frozen)
    net = _net_1_0(context)
    deploy = _template("templates", "deploy.prototxt.j2", context)
    solver = _template(
        "solvers",
        "1.0.prototxt.j2",
        {
            "solver": study.solver_of(network),
            "net_file": folder.net,
            "snapshot_prefix": paths.SNAPSHOT_PREFIX,
            "random_seed": network.random_seed,
        },
    )
    images = study.images
    for text, name in ((net, folder.net), (deploy, folder.deploy)):
        check_net_1_0(text, str(name), frozen, (images.channels, images.side, images.side))
    check_solver(solver, str(folder.solver))
    return {str(folder.net): net, str(folder.deploy): deploy, str(folder.solver): solver}


def _context_1_0(network: Network, study: Study) -> dict[str, Any]:
    data, images = paths.data_seen_from_network(), study.images
    return {
        "name": f"{study.net} {network.name}",
        "net": study.net,
        "outputs": study.outputs(network),
        "train_source": str(data.lmdb(network.train_data)),
        "valid_source": str(data.lmdb(network.valid_data)),
        "mean": str(data.mean),
        "batch": study.batch,
        "test_batch": study.test_batch,
        "mirror": images.mirror,
        "crop": images.crop,
        "size": images.size,
        "scale": images.scale,
        "channels": images.channels,
    }


def _net_1_0(context: Mapping[str, Any]) -> str:
    return _template("templates", "train_val.prototxt.j2", context)


def _render_2014(network: Network, study: Study) -> dict[str, str]:
    if study.net != NET_2014:
        raise BadInput(
            f"dialect 2014 exists for the net {NET_2014} only, and study {study.name!r} uses "
            f"{study.net}; choose dialect 1.0"
        )
    layers = _weight_layers(study, lambda learned: _net_2014(network, study, "train", learned))
    check_cut(network, layers, study.net)
    frozen = members(layers[: network.frozen_count])
    fresh = members(layers[network.copied_count :]) if network.base else ()
    files = {}
    for phase, name in (("train", paths.TRAIN_2014), ("val", paths.VAL_2014)):
        learned = LearnedLayers(frozen, fresh, FRESH_SUFFIX)
        files[name] = _net_2014(network, study, phase, learned)
        expected = [layer.name + FRESH_SUFFIX * (layer.name in fresh) for layer in layers]
        check_net_2014(files[name], name, network, expected)
    solver_context = {"solver": study.solver_of(network)}
    files[paths.SOLVER_2014] = _template("solvers", "2014.prototxt.j2", solver_context)
    return files


def _net_2014(network: Network, study: Study, phase: str, learned: LearnedLayers) -> str:
    context = {
        "phase": phase,
        "learned": learned,
        "outputs": OUTPUTS_2014,
        "batch": study.batch if phase == "train" else study.test_batch,
        "pad_layers": network.name == "netbase",
    }
    return _template("templates", f"2014/{NET_2014}.prototxt.j2", context)


def _weight_layers(
    study: Study, rendered: Callable[[LearnedLayers], str]
) -> tuple[WeightLayer, ...]:
    """The weight layers of a template under its own names; only its text, parsed, tells them."""
    text = rendered(LearnedLayers(frozen=()))
    net = upgrade_net(parse(text, pb.NetParameter(), study.net), study.net)
    return weight_layers(net)


def links_2014(network: Network) -> dict[str, str]:
    """The links of a folder in dialect 2014: name -> target."""
    train = network.train_data
    if network.mode is Mode.REDUCED:
        whole = (network.per_class or 0) >= LARGEST_CLASS_2014
        train = "whole_train" if whole else network.name
    links = {
        paths.TRAIN_LINK_2014: f"{paths.DATA_2014}/{train}/leveldb",
        paths.VAL_LINK_2014: f"{paths.DATA_2014}/{network.valid_data}/leveldb",
    }
    if network.base_name:
        links[paths.BASENET_LINK] = f"../{network.base_name}"
    return links


@cache
def _environment(kind: str) -> jinja2.Environment:
    folder = paths.templates() if kind == "templates" else paths.solvers()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["quoted"] = quoted
    return environment


def _template(kind: str, name: str, context: Mapping[str, Any]) -> str:
    try:
        return _environment(kind).get_template(name).render(context)
    except jinja2.TemplateNotFound as error:
        nets = sorted(
            path.name.removesuffix(".prototxt.j2")
            for path in paths.templates().glob("*.prototxt.j2")
            if path.name not in ("train_val.prototxt.j2", "deploy.prototxt.j2")
        )
        raise BadInput(
            f"there is no template {error.name}; the nets are {', '.join(nets)}"
        ) from error


def quoted(text: str) -> str:
    """`text` as a string of protobuf's text format: quotes and line breaks cannot break out."""
    return f'"{text_encoding.CEscape(text.encode(), as_utf8=False)}"'
