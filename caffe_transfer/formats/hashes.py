"""SHA-256 of files and of blobs: the proof that frozen layers have stayed as they were."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from caffe_transfer.formats.caffemodel import open_model


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def blob_hashes(path: Path, layers: Sequence[str]) -> dict[str, list[str]]:
    """SHA-256 of the raw numbers of each blob of the layers that the model has."""
    with open_model(path) as model:
        found = model.with_blobs
        return {
            name: [hashlib.sha256(blob.values.data).hexdigest() for blob in found[name].blobs]
            for name in layers
            if name in found
        }
