"""Given bases: a model that somebody else trained, in the place of a base of the study.

Its folder, results/halfNAMEA, holds a link to the model, and a manifest with its hash.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from caffe_transfer.errors import BadInput, Incomplete
from caffe_transfer.files import link, writing
from caffe_transfer.formats.hashes import sha256
from caffe_transfer.nets.places import place_of
from caffe_transfer.nets.render import plain_net
from caffe_transfer.nets.shapes import parameter_shapes
from caffe_transfer.nets.sources import source_of
from caffe_transfer.paths import HDF5_SUFFIX, NetworkFolder
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import IN_ORDER, Study, Task
from caffe_transfer.training import manifest
from caffe_transfer.training.transplant import Target, check_model, stored_shapes

_KEY = "given"


@dataclass(frozen=True)
class Given:
    """A given base.

    Attributes:
        model: the file that its layers are copied from.
        sha256: of the file.
        names: the model's names of layers, by the net's, where they differ.
    """

    model: Path
    sha256: str
    names: Mapping[str, str] = field(default_factory=dict)


def read_given(base: Path) -> Given | None:
    """The given base in a folder; None if the folder holds none.

    Raises:
        FormatError: its manifest is none.
    """
    record = manifest.read(NetworkFolder(base).manifest).get(_KEY)
    if record is None:
        return None
    return Given(base / record["model"], record["sha256"], record["names"])


def checked_model(given: Given) -> Path:
    """The model of a given base, unchanged since the study began with it.

    Raises:
        Incomplete: it is not there.
        BadInput: it is another one.
    """
    if not given.model.is_file():
        raise Incomplete(f"the given model {given.model.resolve()} is gone; put it back")
    if sha256(given.model) != given.sha256:
        raise BadInput(
            f"the given model {given.model.resolve()} has changed since the study began; put the "
            "first one back, or name another --out"
        )
    return given.model


def write_given_bases(checked: Mapping[Network, Given], results: Path) -> None:
    """Write the folders of given bases.

    Args:
        checked: as `check_given` returns them.

    Raises:
        BadInput: another model was given before.
    """
    for network, given in checked.items():
        _write(NetworkFolder(results / str(network.base_name)), network, given)


def check_given(study: Study) -> dict[Network, Given]:
    """Hold the given models that a study needs against its net.

    Returns:
        for each given base one network that is cut from it, and the base.

    Raises:
        Incomplete, FormatError: a model is missing, or is none.
        BadInput: layers are missing in a model, or have other shapes; names them.
    """
    found = {}
    for network, task in _deepest(study).items():
        model = Path(str(task.model))
        if not model.is_file():
            raise Incomplete(
                f"there is no {model}, which splits.{network.split}.{network.base} gives as its "
                "base; correct the name"
            )
        found[network] = Given(model, sha256(model), _check(network, task, study))
    return found


def _deepest(study: Study) -> dict[Network, Task]:
    """For each given base the network that copies most of it."""
    deepest: dict[str, Network] = {}
    for network in study.networks:
        if study.given_base(network) is not None:
            name = str(network.base_name)
            if name not in deepest or deepest[name].copied_count < network.copied_count:
                deepest[name] = network
    return {network: task for network in deepest.values() if (task := study.given_base(network))}


def _check(network: Network, task: Task, study: Study) -> Mapping[str, str]:
    """Raise unless the net can take its layers from the model; return the names that differ."""
    # Imported lazily: `generate` starts faster than numpy, and few studies have given bases.
    from caffe_transfer.formats.caffemodel import open_model

    net = plain_net(study)
    shapes = parameter_shapes(net, source_of(study).input_shape)
    model = Path(str(task.model))
    with open_model(model) as opened:
        stored, ordered = stored_shapes(opened), opened.format != "HDF5"
    copied = place_of(network, study, net).copied
    key = f"splits.{network.split}.{network.base}.names"
    if isinstance(task.names, str):
        if not ordered:
            raise BadInput(
                f'{key} is "{IN_ORDER}", but {model} is an HDF5 file, which keeps no order; give '
                "a table of names"
            )
        names = {new: old for new, old in zip(shapes, stored, strict=False) if new != old}
    else:
        names = dict(task.names)
        if unknown := [name for name in names if name not in shapes]:
            raise BadInput(
                f"{key} names the layer {unknown[0]!r}, which the net does not have; correct it"
            )
    check_model(Target(copied, shapes, names), model, stored)
    return {new: old for new, old in names.items() if new in copied}


def _write(folder: NetworkFolder, network: Network, given: Given) -> None:
    before = read_given(folder.root)
    if before is not None and before.sha256 != given.sha256:
        raise BadInput(
            f"{folder.root} is of another given model than {given.model}; name another --out"
        )
    with writing(folder.root):
        folder.root.mkdir(parents=True, exist_ok=True)
    name = "given" + (HDF5_SUFFIX if given.model.suffix == HDF5_SUFFIX else ".caffemodel")
    link(folder.root / name, str(given.model.absolute()))
    manifest.write(
        folder.manifest,
        {
            "network": network.base_name,
            _KEY: {"model": name, "sha256": given.sha256, "names": dict(given.names)},
        },
    )
