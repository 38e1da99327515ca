"""What a network was trained from and with: manifest.json in its folder."""

import json
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from caffe_transfer import paths
from caffe_transfer.errors import FormatError
from caffe_transfer.files import atomic_text
from caffe_transfer.formats.hashes import sha256
from caffe_transfer.version import __version__


def read(path: Path) -> dict[str, Any]:
    """The manifest, empty where there is none yet.

    Raises:
        FormatError: the file is not one.
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
    """Write the manifest, whole or not at all."""
    atomic_text(path, json.dumps(manifest, indent=2) + "\n")


def is_finished(path: Path) -> bool:
    """Whether the network was trained to its end and its frozen layers were verified."""
    return bool(read(path).get("finished"))


def surroundings() -> dict[str, str]:
    """Versions that matter for a repeat."""
    return {
        "caffe_transfer": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def input_hashes(folder: Path, files: list[str]) -> dict[str, Any]:
    """SHA-256 of the files that training reads; of databases, which can be large, their size."""
    hashes: dict[str, Any] = {}
    for name in files:
        path = folder / name
        if path.is_dir():
            hashes[name] = {"bytes": (path / paths.LMDB_DATA).stat().st_size}
        elif path.exists():
            hashes[name] = sha256(path)
    return hashes


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
