"""Where a study's networks are cut: n -> cut -> the layers that are copied, and that are frozen."""

import itertools
from dataclasses import dataclass, replace

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.cut_record import CutRecord
from caffe_transfer.nets.cuts import Cut, cuts, find_cut
from caffe_transfer.nets.layers import members
from caffe_transfer.studies.network import Mode, Network
from caffe_transfer.studies.study import Study


@dataclass(frozen=True)
class Place:
    """What becomes of a network's layers; names in the net's order.

    Attributes:
        cut: None for a network that is trained from random weights throughout.
        frozen: layers whose parameters stay as they start.
        copied: layers whose parameters come from the base.
    """

    cut: Cut | None = None
    frozen: tuple[str, ...] = ()
    copied: tuple[str, ...] = ()

    @property
    def record(self) -> CutRecord | None:
        """What cut.json holds; None where nothing is cut."""
        return None if self.cut is None else CutRecord(self.cut.n, self.cut.name, self.copied)


def study_cuts(study: Study, net: pb.NetParameter) -> tuple[Cut, ...]:
    """The cuts that a study's n counts: those that it names, else all of its net.

    Raises:
        BadInput: the net has no such cut, or they are not in the order of the net.
    """
    if study.cuts is None:
        return cuts(net)
    found = tuple(
        replace(find_cut(net, name), n=n, name=name) for n, name in enumerate(study.cuts, 1)
    )
    for lower, upper in itertools.pairwise(found):
        if not set(lower.below) < set(upper.below):
            raise BadInput(
                f"study {study.name!r}: cut {upper.name!r} does not lie above {lower.name!r}; list "
                "cuts from the images up, with further weight layers below each"
            )
    return found


def place_of(network: Network, study: Study, net: pb.NetParameter) -> Place:
    """The cut of one network, and its frozen and copied layers.

    Raises:
        BadInput: n or preserve is out of range, or the net cannot be cut.
    """
    if not network.n:
        return Place()
    found = study_cuts(study, net)
    check_cut(network, len(found), study.net)
    cut = found[network.n - 1]
    reached = found[network.n + network.preserve - 1]
    return Place(
        cut,
        frozen=() if network.fine_tuned else _frozen(network, cut, net),
        copied=members(reached.below) if network.base else (),
    )


def _frozen(network: Network, cut: Cut, net: pb.NetParameter) -> tuple[str, ...]:
    names = members(cut.below)
    if network.mode is not Mode.RANDOM:
        return names
    # Before training BatchNorm has no statistics: frozen like that, it would not normalise.
    normalising = {layer.name for layer in net.layer if layer.type == "BatchNorm"}
    return tuple(name for name in names if name not in normalising)


def check_cut(network: Network, count: int, net: str) -> None:
    """Refuse a network whose cut is not among the `count` that there are.

    Raises:
        BadInput: n or preserve is out of range.
    """
    if network.n > count:
        raise BadInput(
            f"n = {network.n} is not a place to cut at: net {net} has {count} cuts, and mode "
            f"{network.mode} takes n from 1 to {count}"
        )
    if network.n + network.preserve > count:
        raise BadInput(
            f"preserve = {network.preserve} reaches past the last cut of net {net}; with n = "
            f"{network.n} it goes from 0 to {count - network.n}"
        )


def numbered(study: Study, name: str, net: pb.NetParameter) -> tuple[Study, int]:
    """The number of a cut that a user names, and the study that counts it so.

    A cut inside a block has no number in its net: the study then has that cut alone.

    Raises:
        BadInput: there is no such cut.
    """
    if study.cuts is not None:
        if name not in study.cuts:
            raise BadInput(
                f"study {study.name!r} does not name the cut {name!r}; it names "
                f"{', '.join(study.cuts)}"
            )
        return study, study.cuts.index(name) + 1
    cut = find_cut(net, name)
    return (study, cut.n) if cut.n else (replace(study, cuts=(name,)), 1)
