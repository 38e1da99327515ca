"""Hashes of files and blobs."""

import hashlib
import os
from pathlib import Path

import pytest

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.hashes import blob_hashes, sha256, sha256_of_start
from tests.models import LAYERS, write_model

LEARNED = [name for name, (_, shapes) in LAYERS.items() if shapes]


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    assert sha256(tmp_path / "file") == hashlib.sha256(b"bytes").hexdigest()


def test_hashes_are_of_the_raw_numbers(tmp_path: Path) -> None:
    arrays = write_model(tmp_path / "a", seed=1)
    assert blob_hashes(tmp_path / "a", LEARNED) == {
        name: [hashlib.sha256(array.tobytes()).hexdigest() for array in arrays[name]]
        for name in LEARNED
    }


def test_hashes_tell_layers_apart(tmp_path: Path) -> None:
    write_model(tmp_path / "a", seed=1)
    write_model(tmp_path / "b", seed=2)
    first, second = (blob_hashes(tmp_path / name, LEARNED) for name in "ab")
    assert list(first) == LEARNED
    assert all(first[name] != second[name] for name in LEARNED)
    assert blob_hashes(tmp_path / "a", ["none"]) == {}


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for hashed in (sha256, sha256_of_start):
        with pytest.raises(BadInput, match="pipe is a pipe or a device"):
            hashed(tmp_path / "pipe")
