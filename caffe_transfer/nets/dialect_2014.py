"""Nets and solvers in the authors' dialect of 2014 (format V0), byte for byte as they had them.

docs/dialects.md tells the differences from Caffe 1.0.
"""

from caffe_transfer import paths
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import parse
from caffe_transfer.formats.upgrade import upgrade_net
from caffe_transfer.nets.check import check_net_2014
from caffe_transfer.nets.layers import members, weight_layers
from caffe_transfer.nets.places import check_cut
from caffe_transfer.nets.templates import LearnedLayers, net_template, solver_template
from caffe_transfer.studies.network import Mode, Network
from caffe_transfer.studies.study import Study

FRESH_SUFFIX = "-new"
NET_2014 = "caffenet"
# The authors kept all 1000 outputs for tasks of 500 classes.
OUTPUTS_2014 = 1000
# No class of ILSVRC2012 has more images, so that the authors' reduced-1300 is the whole set.
LARGEST_CLASS_2014 = 1300


def render_2014(network: Network, study: Study) -> dict[str, str]:
    """The prototxts of one network's folder: file name -> text, parsed back and checked.

    Raises:
        BadInput: the study's net or its solver cannot be said in this dialect, or n is out of
            range.
    """
    if study.net != NET_2014:
        raise BadInput(
            f"dialect 2014 exists for the net {NET_2014} only, and study {study.name!r} uses "
            f"{study.net}; choose dialect 1.0"
        )
    text = _net(network, study, "train", LearnedLayers(frozen=()))
    layers = weight_layers(upgrade_net(parse(text, pb.NetParameter(), study.net), study.net))
    check_cut(network, len(layers) - 1, study.net)  # the classifier is always fresh
    frozen = members(layers[: network.frozen_count])
    fresh = members(layers[network.copied_count :]) if network.base else ()
    files = {}
    for phase, name in (("train", paths.TRAIN_2014), ("val", paths.VAL_2014)):
        learned = LearnedLayers(frozen, fresh, FRESH_SUFFIX)
        files[name] = _net(network, study, phase, learned)
        expected = [layer.name + FRESH_SUFFIX * (layer.name in fresh) for layer in layers]
        check_net_2014(files[name], name, network, expected)
    solver_context = {"solver": study.solver_of(network)}
    files[paths.SOLVER_2014] = solver_template("2014.prototxt.j2", solver_context)
    return files


def _net(network: Network, study: Study, phase: str, learned: LearnedLayers) -> str:
    context = {
        "phase": phase,
        "learned": learned,
        "outputs": OUTPUTS_2014,
        "batch": study.batch if phase == "train" else study.test_batch,
        "pad_layers": network.name == "netbase",
    }
    return net_template(f"2014/{NET_2014}.prototxt.j2", context)


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
