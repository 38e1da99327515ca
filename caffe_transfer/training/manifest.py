"""manifest.json in a network's folder: from what and with what the network was trained."""

import json
import platform
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from caffe_transfer import paths
from caffe_transfer.errors import FormatError, Incomplete
from caffe_transfer.files import atomic_text
from caffe_transfer.formats.hashes import sha256, sha256_of_start
from caffe_transfer.formats.views import is_view, read_view
from caffe_transfer.paths import NetworkFolder
from caffe_transfer.reading import reading
from caffe_transfer.version import __version__

_MOST_IN_A_NAME = 255  # bytes, of any file
_KINDS = {"max_iter": int, "finished": str, "model": dict, "frozen": dict, "runs": list}


def read(path: Path) -> dict[str, Any]:
    """Read the manifest; an empty one if the file does not exist.

    Raises:
        FormatError: the file is not a manifest.
    """
    with suppress(Incomplete), reading(path, "a manifest", "remove it"):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        _check(manifest)
        return cast(dict[str, Any], manifest)
    return {}


def _check(manifest: object) -> None:
    """Check the entries that others rely on.

    Raises:
        TypeError: one is of another kind.
    """
    if not isinstance(manifest, dict):
        raise TypeError("it is no table")
    for key, kind in _KINDS.items():
        if not isinstance(manifest.get(key, kind()), kind):
            raise TypeError(f"its {key} is of another kind")
    given = manifest.get("given", {"model": "", "sha256": "", "names": {}})
    texts = [given["model"], given["sha256"], *given["names"].values()]
    if not all(isinstance(each, str) and "\0" not in each for each in texts):
        raise TypeError("its given base is no model")
    if "/" in given["model"] or len(given["model"]) > _MOST_IN_A_NAME:
        raise TypeError("its given model is not in its folder")


def write(path: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest atomically."""
    atomic_text(path, json.dumps(manifest, indent=2) + "\n")


def is_finished(manifest: Mapping[str, Any], max_iter: int) -> bool:
    """Whether the network was trained to its end and its frozen layers were verified.

    Args:
        max_iter: of the solver, which may have been raised since.
    """
    return bool(manifest.get("finished")) and int(manifest.get("max_iter", 0)) >= max_iter


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
