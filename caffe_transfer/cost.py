"""What a run of a study costs: disk space and time."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from caffe_transfer.data_prep.disk import disk_estimate
from caffe_transfer.data_prep.sources import check_source
from caffe_transfer.nets.places import place_of
from caffe_transfer.nets.render import parsed_net, plain_net, render
from caffe_transfer.nets.shapes import Shape, parameter_shapes
from caffe_transfer.nets.sources import source_of
from caffe_transfer.studies.network import Mode, Network
from caffe_transfer.studies.study import LAST, Study
from caffe_transfer.training.given import check_given
from caffe_transfer.training.snapshots import KEPT_PAIRS, RESUME_BYTES

FLOAT_BYTES = 4
_BLOCK = 4096
# Of the sources whose images are written as files; the others' are read where they lie.
_IMAGE_FILES = {"fashion-mnist": 70_000, "tiny-imagenet": 110_000}
_TWO_HISTORIES = ("AdaDelta", "Adam")
# A network's files: name -> text, as `render` returns them.
Rendered = Mapping[Network, Mapping[str, str]]


@dataclass(frozen=True)
class Estimate:
    """The cost of a run; None where it is not known beforehand.

    Attributes:
        data_bytes: size of the databases.
        image_bytes: of images that are fetched or unpacked; those that lie elsewhere take none.
        snapshot_bytes: of models and solver states, when they take most.
        seconds: training one network at a time, at the pace that the study's file gives.
    """

    data_bytes: int | None
    snapshot_bytes: int
    seconds: float | None
    image_bytes: int = 0


def image_bytes(study: Study) -> int:
    """Bytes of the images in a run's folder: small files, each of which takes a block."""
    return _BLOCK * _IMAGE_FILES.get(study.images.source, 0)


def estimate(study: Study, jobs: int = 1, views: bool = False) -> Estimate:
    """Disk space and time that a run of the study takes.

    Args:
        jobs: networks trained at once.
        views: the engine reads views.

    Raises:
        Incomplete, FormatError: a given model is missing, or is none.
        BadInput: its source does not exist, or a network or a given model does not fit its net.
    """
    check_given_and_source(study)
    pace = study.seconds_per_iteration
    iterations = sum(study.solver_of(network).max_iter for network in study.networks)
    return Estimate(
        data_bytes=disk_estimate(study, views),
        snapshot_bytes=snapshot_bytes(
            study, {network: render(network, study) for network in study.networks}, jobs
        ),
        seconds=None if pace is None else iterations * pace,
        image_bytes=image_bytes(study),
    )


def check_given_and_source(study: Study) -> None:
    """Refuse a study whose images or given models cannot be.

    Raises:
        CaffeTransferError: as `estimate` does.
    """
    check_source(study.images.source)
    check_given(study)


def snapshot_bytes(study: Study, rendered: Rendered, jobs: int) -> int:
    """Bytes of the networks' models and solver states, when they take most.

    Args:
        jobs: networks trained at once.
    """
    networks = network_bytes(study, rendered).values()
    return sum(each.kept for each in networks) + sum(
        sorted(each.training for each in networks)[-jobs:]
    )


@dataclass(frozen=True)
class NetworkBytes:
    """Bytes of one network's models and solver states.

    Attributes:
        kept: what stays: its model, and the weights that it started from, where it is cut from
            another.
        training: more while it is in training: the pairs that are kept of it, and one more that is
            being written.
    """

    kept: int
    training: int


def network_bytes(study: Study, rendered: Rendered) -> dict[Network, NetworkBytes]:
    """Bytes of each network's models and solver states."""
    found = {}
    plain, seen = plain_net(study), source_of(study).input_shape
    for network, files in rendered.items():
        layers = _layer_bytes(files, seen)
        model, first = sum(layers.values()), 0
        if network.mode is Mode.RANDOM:
            first = model
        elif network.base:
            first = sum(layers.get(name, 0) for name in place_of(network, study, plain).copied)
        solver = study.solver_of(network)
        histories = 2 if solver.type in _TWO_HISTORIES else 1
        count = math.ceil(solver.max_iter / solver.snapshot)
        pair = (1 + histories) * model + RESUME_BYTES
        if study.keep_snapshots == LAST:
            found[network] = NetworkBytes(first + model, min(count, KEPT_PAIRS + 1) * pair)
        else:
            found[network] = NetworkBytes(first + count * pair, 0)
    return found


def _layer_bytes(files: Mapping[str, str], seen: Shape) -> dict[str, int]:
    """Bytes of each layer's parameters, in a network that sees images of a shape."""
    return {
        name: FLOAT_BYTES * sum(map(math.prod, parameters))
        for name, parameters in parameter_shapes(parsed_net(files), seen).items()
    }
