"""manifest.json in a network's folder: from what and with what the network was trained."""

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from caffe_transfer import paths
from caffe_transfer.errors import FormatError
from caffe_transfer.files import atomic_text
from caffe_transfer.formats.hashes import sha256, sha256_of_start
from caffe_transfer.formats.views import is_view, read_view
from caffe_transfer.paths import NetworkFolder
from caffe_transfer.version import __version__


def read(path: Path) -> dict[str, Any]:
    """Read the manifest; an empty one if the file does not exist.

    Raises:
        FormatError: the file is not a manifest.
    """
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise FormatError(f"{path} is not a manifest: {error}; remove it") from error
    if not isinstance(manifest, dict):
        raise FormatError(f"{path} is not a manifest; remove it")
    return manifest


def write(path: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest atomically."""
    atomic_text(path, json.dumps(manifest, indent=2) + "\n")


def is_finished(manifest: Mapping[str, Any], max_iter: int) -> bool:
    """Whether the network was trained to its end and its frozen layers were verified.

    Args:
        max_iter: of the solver, which may have been raised since.
    """
    return bool(manifest.get("finished")) and int(manifest["max_iter"]) >= max_iter


def manifest_of(folder: NetworkFolder) -> Mapping[str, Any]:
    """A network's manifest; an empty one in the place of a broken one, which training names."""
    try:
        return read(folder.manifest)
    except FormatError:
        return {}


def is_trained(folder: NetworkFolder, max_iter: int) -> bool:
    """Whether the manifest in a network's folder says so, if it can be read."""
    return is_finished(manifest_of(folder), max_iter)


def surroundings() -> dict[str, str]:
    """Return the versions that matter for reproducing a training."""
    return {
        "caffe_transfer": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def input_hashes(folder: Path, files: list[str]) -> dict[str, Any]:
    """Return the SHA-256 of the files that training reads.

    Databases can be too large to hash: they are told by their size in bytes, and the hash of their
    first megabyte.  A view is told by the hash of what it takes, and the size of its database.
    Files that do not exist are left out.
    """
    hashes: dict[str, Any] = {}
    for name in files:
        path = folder / name
        if is_view(path):
            hashes[name] = {
                "view_sha256": sha256(path / paths.VIEW_RECORDS),
                "bytes": read_view(path).identity.bytes,
            }
        elif path.is_dir():
            data = path / paths.LMDB_DATA
            hashes[name] = {"bytes": data.stat().st_size, "start_sha256": sha256_of_start(data)}
        elif path.exists():
            hashes[name] = sha256(path)
    return hashes


def changed_inputs(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The names of inputs that are others than before, as `input_hashes` tells them.

    What only one of them tells, such as an earlier version's, says nothing.
    """
    return [name for name in now if name in before and not _may_be_same(before[name], now[name])]


def changed_while_trained(manifest: Mapping[str, Any]) -> list[str]:
    """The names of inputs that were others in an earlier run of a training."""
    changed = (run.get("changed_inputs", []) for run in manifest.get("runs", []))
    return list(dict.fromkeys(name for names in changed for name in names))


def _may_be_same(before: Any, now: Any) -> bool:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        known = before.keys() & now.keys()
        return bool(known) and all(before[key] == now[key] for key in known)
    return bool(before == now)


def now() -> str:
    """Return the current time in UTC, in ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
