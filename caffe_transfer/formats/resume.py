"""Resume files: what Caffe's solver states lack for a training to go on as if it had not stopped.

caffe-torch writes one beside each solver state.  It holds for that state and its model alone, which
it tells by their hashes.  Its first line has the hash of the rest, an .npz of numpy.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt

from caffe_transfer.errors import BadResume, FormatError, Incomplete
from caffe_transfer.reading import reading

Arrays = Mapping[str, npt.NDArray[Any]]
Scalar = TypeVar("Scalar", bound=np.generic)

# What a resume can be; a log and a manifest say it in these words.
EXACT, AS_CAFFE = "exact", "as Caffe"
REMEDY = "remove it, or give --restart-data, to begin the data at its first record as Caffe does"
_HEAD = b"caffe-torch resume file 1, SHA-256 "
_ABOUT = "about"


@dataclass(frozen=True)
class Kept:
    """What a training has besides its parameters and its history.

    Attributes:
        layers: types and names of the layers of each net, by which another net is told.
        device: "cpu" or "cuda", whose generators they are.
        lacking: what it has more, in words.
        arrays: by their paths, such as "0/3/key", of any dtype but object.
    """

    layers: Sequence[Sequence[str]]
    device: str
    lacking: Sequence[str]
    arrays: Arrays


@dataclass(frozen=True)
class Resume:
    """A resume file.

    Attributes:
        model, state: SHA-256 of the files that it was written with.
    """

    model: str
    state: str
    kept: Kept


def under(path: str, arrays: Arrays) -> dict[str, npt.NDArray[Any]]:
    """Arrays by their names under a path; `part` takes them out."""
    return {f"{path}/{name}": array for name, array in arrays.items()}


def part(arrays: Arrays, path: str) -> Arrays:
    """The arrays under a path, by their names there."""
    start = f"{path}/"
    return {
        name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)
    }


def number(arrays: Arrays, name: str) -> int:
    """A whole number.

    Raises:
        KeyError, ValueError: it is not there, or no such number.
    """
    array = arrays[name]
    if array.shape or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name} is no number")
    return int(array)


def vector(arrays: Arrays, name: str, kind: type[Scalar]) -> npt.NDArray[Scalar]:
    """An array of one axis.

    Raises:
        KeyError, ValueError: it is not there, or of another kind.
    """
    array = arrays[name]
    if array.ndim != 1 or array.dtype != kind:
        raise ValueError(f"{name} is no vector of {kind.__name__}")
    return array


def write(resume: Resume, file: BinaryIO) -> None:
    """Write a resume file."""
    kept = resume.kept
    about = {
        "model": resume.model, "state": resume.state, "device": kept.device,
        "layers": [list(names) for names in kept.layers], "lacking": list(kept.lacking),
        "arrays": list(kept.arrays),
    }  # fmt: skip
    arrays = {str(number): array for number, array in enumerate(kept.arrays.values())}
    arrays[_ABOUT] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    body = io.BytesIO()
    np.savez(body, allow_pickle=False, **arrays)
    content = body.getvalue()
    file.write(_head_of(content) + content)


def read(path: Path) -> Resume | None:
    """Read a resume file; None where there is none.

    Raises:
        BadResume: it is broken, or of another version.
        BadInput: it cannot be read.
    """
    try:
        with suppress(Incomplete), reading(path, "a resume file", REMEDY):
            head, newline, body = path.read_bytes().partition(b"\n")
            if head + newline != _head_of(body):
                raise BadResume(f"{path} is broken, or of another version; {REMEDY}")
            return _parsed(body)
    except BadResume:
        raise
    except FormatError as error:
        raise BadResume(f"{path} is no resume file; {REMEDY}") from error
    return None


def _parsed(body: bytes) -> Resume:
    with np.load(io.BytesIO(body), allow_pickle=False) as found:
        about = json.loads(found[_ABOUT].tobytes())
        arrays = {str(name): found[str(number)] for number, name in enumerate(about["arrays"])}
    layers = [[str(name) for name in names] for names in about["layers"]]
    lacking = [str(words) for words in about["lacking"]]
    kept = Kept(layers, str(about["device"]), lacking, arrays)
    return Resume(str(about["model"]), str(about["state"]), kept)


def _head_of(body: bytes) -> bytes:
    return _HEAD + hashlib.sha256(body).hexdigest().encode() + b"\n"
