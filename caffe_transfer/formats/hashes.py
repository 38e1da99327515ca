"""SHA-256 of files and of blobs, which proves that frozen layers did not change."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from caffe_transfer.reading import refuse_endless

_START_BYTES = 1 << 20


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    refuse_endless(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_start(path: Path) -> str:
    """Return the SHA-256 of a file's first megabyte, or of all of a shorter one."""
    refuse_endless(path)
    with path.open("rb") as file:
        return hashlib.sha256(file.read(_START_BYTES)).hexdigest()


def blob_hashes(path: Path, layers: Sequence[str]) -> dict[str, list[str]]:
    """Return the SHA-256 of each blob's raw values, by layer.

    Layers that the model lacks, or that have no blobs, are left out.

    Raises:
        Incomplete: the file does not exist.
        FormatError: the file is truncated or not a model.
    """
    # Imported lazily: `generate` hashes files, and starts faster than numpy.
    from caffe_transfer.formats.caffemodel import open_model

    with open_model(path) as model:
        found = model.with_blobs
        return {
            name: [hashlib.sha256(blob.values.data).hexdigest() for blob in found[name].blobs]
            for name in layers
            if name in found
        }
