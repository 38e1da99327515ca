"""Records of what databases and means were made of, as JSON files beside them.

A later run reuses a database only if it would make the same one.  A database without a record,
from an older version or another tool, is trusted.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import cv2

from caffe_transfer import paths
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.errors import FormatError
from caffe_transfer.files import atomic_text
from caffe_transfer.reading import reading
from caffe_transfer.version import __version__


@dataclass(frozen=True)
class LmdbJob:
    """What a database is to be made of.

    Attributes:
        list_sha256: of the image list's text, before shuffling.
        size: side in pixels to which images are resized; None if they are not.
        channels: 3 (BGR) or 1 (gray).
        shuffle: the seed of the records' order; None for the list's order.
        order_of: SHA-256 of the longer list that was shuffled, and whose order the records keep;
            None if the images were shuffled by themselves, or not at all.
        versions: of caffe_transfer and OpenCV, which decode and resize.
    """

    list_sha256: str
    size: int | None
    channels: int
    shuffle: int | None
    order_of: str | None
    versions: Mapping[str, str]


@dataclass(frozen=True)
class CopyJob:
    """What a database is to be copied from.

    Attributes:
        database: what tells the view's database from others.
        view_sha256: of what the view takes from it.
    """

    database: Mapping[str, Any]
    view_sha256: str


@dataclass(frozen=True)
class LmdbRecord(LmdbJob):
    """What a database was made of.

    Attributes:
        count: number of records; left_out: number of images that could not be used.
        bytes: size of data.mdb.
    """

    count: int
    left_out: int
    bytes: int


@dataclass(frozen=True)
class MeanRecord:
    """What a mean image was made of.

    Attributes:
        lists: SHA-256 of each image list's text, by data name; None where it is unknown.
        size, channels: as in the databases.
        sha256: of the mean's own file.
        versions: of caffe_transfer and OpenCV.
    """

    lists: Mapping[str, str | None]
    size: int | None
    channels: int
    sha256: str
    versions: Mapping[str, str]


Record = TypeVar("Record", LmdbRecord, MeanRecord)


def versions() -> dict[str, str]:
    """Versions of the software that pixels depend on."""
    return {"caffe_transfer": __version__, "opencv": cv2.__version__}


def list_sha256(images: ImageList) -> str:
    """SHA-256 of the list's text, as its file holds it."""
    return hashlib.sha256(images.content).hexdigest()


def write_record(path: Path, record: LmdbRecord | MeanRecord) -> None:
    """Write the record of the database or mean `path`, whole or not at all."""
    atomic_text(paths.record(path), json.dumps(asdict(record), indent=2) + "\n")


def read_record(path: Path, kind: type[Record]) -> Record | None:
    """The record of the database or mean `path`; None if there is none.

    Raises:
        FormatError: the file is not such a record.
    """
    file = paths.record(path)
    if not file.exists():
        return None
    remedy = f"remove it to use {path.name} as it is"
    with reading(file, f"a record of what {path.name} was made of", remedy):
        return _record(json.loads(file.read_text(encoding="utf-8")), kind)


def _record(table: Any, kind: type[Record]) -> Record:
    if kind is LmdbRecord and isinstance(table, dict) and "broken" in table:
        # As records were before training sets kept the order of the whole.
        table = {"order_of": None, "left_out": table.pop("broken"), **table}
    names = {field.name for field in fields(kind)}
    if not isinstance(table, dict) or set(table) != names or _has_other_lists(table):
        raise ValueError("other keys or values")
    return kind(**table)


def _has_other_lists(table: Mapping[str, Any]) -> bool:
    return not isinstance(table.get("lists", {}), dict)


def difference(record: LmdbRecord | MeanRecord, wanted: Mapping[str, Any]) -> str | None:
    """The first setting in which a record is not as wanted, as half a sentence; None if alike."""
    for key, value in wanted.items():
        found = getattr(record, key)
        if found != value:
            return f"with {key} {_shown(found)}, and {_shown(value)} is wanted"
    return None


def _shown(value: object) -> str:
    return "unset" if value is None else str(value)


def made_by_others(path: Path, what: str) -> FormatError:
    """The error for a file that is not the one that its record describes."""
    return FormatError(
        f"{path} is not the {what} that {paths.record(path)} describes; remove that record to use "
        f"the {what} as it is, or remove both to make it anew"
    )
