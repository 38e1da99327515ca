"""Network -> rendered nets, solver and record of its cut -> parsed back -> checked.

Two dialects: "1.0" (format V2, today's Caffe) for any net, and "2014" (dialect_2014.py).
"""

from collections.abc import Mapping

from caffe_transfer import paths
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import parse
from caffe_transfer.nets.check import check_net_1_0, check_solver
from caffe_transfer.nets.cut_record import cut_text
from caffe_transfer.nets.dialect_2014 import render_2014
from caffe_transfer.nets.places import place_of, study_cuts
from caffe_transfer.nets.sources import Source, source_of
from caffe_transfer.nets.templates import solver_template
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.solver import POLICIES
from caffe_transfer.studies.study import Study

DIALECTS = ("1.0", "2014")


def render(network: Network, study: Study, dialect: str = "1.0") -> dict[str, str]:
    """The files of one network's folder: file name -> text, parsed back and checked.

    Raises:
        BadInput: the dialect is unknown, the study's net cannot be said in it, or the network does
            not fit the net.
        Incomplete, FormatError: the study's own net is missing, or is no net.
    """
    if dialect not in DIALECTS:
        raise BadInput(f"dialect {dialect!r} is unknown; choose one of {', '.join(DIALECTS)}")
    return render_2014(network, study) if dialect == "2014" else _render_1_0(network, study)


def parsed_net(files: Mapping[str, str]) -> pb.NetParameter:
    """The net among rendered files of dialect 1.0."""
    name = str(paths.NetworkFolder.names().net)
    return parse(files[name], pb.NetParameter(), name)


def plain_net(study: Study) -> pb.NetParameter:
    """The study's net as its bases are trained, nothing frozen: what its cuts are counted in.

    Raises:
        BadInput, Incomplete, FormatError: as `render` does.
    """
    return _plain(study.networks[0], study, source_of(study))


def torn_paths(study: Study) -> list[str]:
    """A sentence for each cut that a study names inside a block of its net.

    Raises:
        BadInput, Incomplete, FormatError: as `render` does.
    """
    if study.cuts is None:
        return []
    return [
        f"cut {cut.name} lies inside a block: what is above it reads {', '.join(cut.torn)} from "
        "below it as well"
        for cut in study_cuts(study, plain_net(study))
        if cut.torn
    ]


def _plain(network: Network, study: Study, source: Source) -> pb.NetParameter:
    net = source.plain(network)
    net.name = study.net  # as a user knows it, for messages
    return net


def reads_mean(study: Study) -> bool:
    """Whether the study's networks read a mean image: one with mean values of its own does not."""
    return any(layer.transform_param.mean_file for layer in plain_net(study).layer)


def _render_1_0(network: Network, study: Study) -> dict[str, str]:
    folder, source = paths.NetworkFolder.names(), source_of(study)
    place = place_of(network, study, _plain(network, study, source))
    net, deploy = source.prototxts(network, place.frozen)
    seen = source.input_shape
    for text, name in ((net, folder.net), (deploy, folder.deploy)):
        check_net_1_0(text, str(name), place.frozen, seen, source.given)
    solver = _solver(network, study)
    check_solver(solver, str(folder.solver))
    files = {str(folder.net): net, str(folder.deploy): deploy, str(folder.solver): solver}
    if place.record is not None:
        files[str(folder.cut)] = cut_text(place.record)
    return files


def _solver(network: Network, study: Study) -> str:
    settings = study.solver_of(network)
    return solver_template(
        "1.0.prototxt.j2",
        {
            "solver": settings,
            "policy": POLICIES[settings.lr_policy],
            "net_file": paths.NetworkFolder.names().net,
            "snapshot_prefix": paths.SNAPSHOT_PREFIX,
            "random_seed": network.random_seed,
        },
    )
