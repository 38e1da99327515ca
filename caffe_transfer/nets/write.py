"""Writes a network's folder: prototxts, a link to its base, and in dialect 2014 to its data."""

from collections.abc import Mapping
from pathlib import Path

from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_text, link
from caffe_transfer.nets.dialect_2014 import links_2014
from caffe_transfer.nets.render import render
from caffe_transfer.paths import BASENET_LINK, NetworkFolder
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study


def write_network(network: Network, study: Study, results: Path, dialect: str = "1.0") -> Path:
    """Render a network and write its folder, as `write_files` does."""
    return write_files(network, render(network, study, dialect), results, dialect)


def write_files(
    network: Network, files: Mapping[str, str], results: Path, dialect: str = "1.0"
) -> Path:
    """Write `results`/<name>/ and return it; files that are there already unchanged stay.

    Args:
        files: as `render` returned them.

    Raises:
        BadInput: the folder cannot be written, was trained with other files, or holds something
            else under a link's name.
    """
    folder = results / network.name
    changed = [name for name, text in files.items() if _differs(folder / name, text)]
    others = [name for name in changed if (folder / name).exists()]
    if NetworkFolder(folder).snapshots.is_dir() and others:
        raise BadInput(
            f"{folder} was trained with another {others[0]}; name another --out, or remove the "
            "folder to train it anew"
        )
    for name in changed:
        atomic_text(folder / name, files[name])
    for name, target in links(network, dialect).items():
        link(folder / name, target)
    return folder


def links(network: Network, dialect: str) -> dict[str, str]:
    """The links in a network's folder: name -> target."""
    if dialect == "2014":
        return links_2014(network)
    return {BASENET_LINK: f"../{network.base_name}"} if network.base_name else {}


def _differs(path: Path, text: str) -> bool:
    return not path.is_file() or path.read_bytes() != text.encode()
