"""A network's folder, loaded, and checks of its inputs before an engine starts."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from caffe_transfer.errors import BadInput, Incomplete
from caffe_transfer.formats.binaryproto import read_blob
from caffe_transfer.formats.lmdb import check_lmdb
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net, read_solver
from caffe_transfer.formats.views import is_view
from caffe_transfer.nets.cut_record import read_cut
from caffe_transfer.nets.cuts import cuts, find_cut
from caffe_transfer.nets.layers import frozen_layers, members, outputs, weight_layers
from caffe_transfer.nets.shapes import parameter_shapes
from caffe_transfer.paths import SOLVER_2014, NetworkFolder
from caffe_transfer.reading import reading
from caffe_transfer.studies.network import Network
from caffe_transfer.training.given import read_given
from caffe_transfer.training.transplant import Target


@dataclass(frozen=True)
class LoadedNetwork:
    """A network's folder with its parsed prototxts.

    Attributes:
        network: the study's network that the net's name says; None for any other net.
        solver, net: upgraded to today's formats.
        net_file: the net's path as the solver gives it, relative to the folder.
    """

    folder: NetworkFolder
    network: Network | None
    solver: pb.SolverParameter
    net: pb.NetParameter
    net_file: str

    @property
    def name(self) -> str:
        return self.folder.root.name

    @property
    def snapshots(self) -> Path:
        """The folder into which the solver writes snapshots."""
        return self.snapshot_prefix.parent

    @property
    def snapshot_prefix(self) -> Path:
        """What the paths of the solver's snapshots start with."""
        return self.folder.root / self.solver.snapshot_prefix

    @property
    def inputs(self) -> list[str]:
        """The files that training reads or may read, relative to the network's folder."""
        files = NetworkFolder.names()
        names = [str(files.solver), self.net_file, str(files.init)]
        if given := read_given(self.folder.basenet):
            names.append(str(files.basenet / given.model.name))
        for layer in self.net.layer:
            if layer.transform_param.mean_file:
                names.append(layer.transform_param.mean_file)
            if layer.data_param.source:
                names.append(layer.data_param.source)
        return list(dict.fromkeys(names))

    @property
    def frozen(self) -> tuple[str, ...]:
        """The names of the layers whose parameters training leaves as they start in init.

        A user's net may hold others, fixed by itself, above the cut: these are drawn anew.
        """
        found = frozen_layers(self.net)
        if self.network is None or self.network.base is None:
            return found
        copied = set(self.copied)
        return tuple(name for name in found if name in copied)

    @property
    def copied(self) -> tuple[str, ...]:
        """The names of the layers that the base gives it; () without a base."""
        record = read_cut(self.folder.cut)
        if record is not None or self.network is None:
            return record.copied if record else ()
        # A folder that another program wrote, of a net that is a chain.
        return members(weight_layers(self.net)[: self.network.copied_count])

    def target(self, copied: Sequence[str] | None = None) -> Target:
        """What the net takes from a model.

        Args:
            copied: the names of the layers; by default those that its base gives it.

        Raises:
            Incomplete: there is no deploy.prototxt, which has the size of the images.
            BadInput: it has no input, or a layer does not fit its input.
        """
        deploy = read_net(self.folder.deploy)
        shapes = [shape for layer in deploy.layer for shape in layer.input_param.shape]
        if not shapes:
            raise BadInput(
                f"{self.folder.deploy} has no input; give it an Input layer or input_dim"
            )
        given = read_given(self.folder.basenet)
        return Target(
            self.copied if copied is None else tuple(copied),
            parameter_shapes(self.net, tuple(shapes[0].dim[1:])),
            given.names if given else {},
        )

    def below(self, n: int | str) -> tuple[str, ...]:
        """The names of the layers below a cut of the net, given by its number or its name.

        Raises:
            BadInput: the net has no such cut.
        """
        if isinstance(n, str):
            return members(find_cut(self.net, n).below)
        found = cuts(self.net)
        if not 1 <= n <= len(found):
            raise BadInput(
                f"n = {n} is not a place to cut at: the net of {self.folder.root} has "
                f"{len(found)} cuts; choose 1 to {len(found)}"
            )
        return members(found[n - 1].below)


def load_network(root: Path) -> LoadedNetwork:
    """Read a network's folder.

    Raises:
        Incomplete: the folder, its solver or its net is missing.
        FormatError: one of them does not parse; names file and line.
        BadInput: the solver leaves out what training needs.
    """
    root = root.absolute()
    folder = NetworkFolder(root)
    if (root / SOLVER_2014).exists():
        raise BadInput(
            f"{root} is in dialect 2014, which Caffe 1.0 cannot train; generate the network in "
            "dialect 1.0"
        )
    solver = read_solver(folder.solver)
    net_file = solver.net or solver.train_net
    for key, value in (("net", net_file), ("max_iter", solver.max_iter)):
        if not value:
            raise BadInput(f"{folder.solver} does not set {key}; add it")
    net = read_net(root / net_file)
    return LoadedNetwork(folder, _network_of(net), solver, net, net_file)


def _network_of(net: pb.NetParameter) -> Network | None:
    """The network that a net's name ends with, so that its folder may be renamed."""
    try:
        return Network.parse(net.name.rpartition(" ")[2])
    except BadInput:
        return None


def _check_missing(loaded: LoadedNetwork) -> None:
    """Name all files that are missing at once; a single one is named by the check of its kind."""
    named = [layer.transform_param.mean_file for layer in loaded.net.layer]
    named += [layer.data_param.source for layer in loaded.net.layer if layer.type == "Data"]
    missing = [
        name for name in dict.fromkeys(named) if name and not (loaded.folder.root / name).exists()
    ]
    if len(missing) > 1:
        paths = (os.path.normpath(loaded.folder.root / name) for name in missing)
        raise Incomplete(
            f"{loaded.name} reads {', '.join(paths)}, which are not there; make databases with "
            "caffe-transfer data lmdb and the mean with data mean"
        )


def check_inputs(loaded: LoadedNetwork, *, views: bool = True) -> None:
    """Look at every mean and database that the net reads.

    Args:
        views: the engine reads views.

    Raises:
        Incomplete: one is missing; says how to make it.
        BadInput: images of another size than the net's, or labels beyond its outputs, or a view
            that the engine cannot read.
    """
    root = loaded.folder.root
    with reading(root / loaded.net_file, "a net", "correct the paths in it"):
        _check_missing(loaded)
    classes = outputs(loaded.net)
    for layer in loaded.net.layer:
        transform = layer.transform_param
        if transform.mean_file and not (root / transform.mean_file).is_file():
            raise Incomplete(
                f"layer {layer.name!r} of {loaded.name} reads the mean {root / transform.mean_file}"
                ", which is not there; make it with caffe-transfer data mean"
            )
        if layer.type != "Data" or layer.data_param.backend != pb.DataParameter.LMDB:
            continue
        source = root / layer.data_param.source
        if not views and is_view(source):
            raise BadInput(
                f"layer {layer.name!r} of {loaded.name} reads {source}, a view, which only "
                "caffe-torch can read; make a database of it with caffe-transfer data lmdb "
                f"--from-view {source} {source}, or train with --engine caffe-torch"
            )
        shape = read_blob(root / transform.mean_file).shape[-3:] if transform.mean_file else None
        check_lmdb(
            source,
            shape=shape,
            crop=transform.crop_size,
            classes=classes,
        )
