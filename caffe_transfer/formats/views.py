"""Views: some records of an LMDB, in its order and with labels of their own, instead of a copy.

A view is a folder where a database would be:

view.json    its LMDB, by a path relative to this folder, and what tells that one from others; how
             many numbers follow, and the SHA-256 of
records.bin  three arrays of 32 bits, little-endian: numbers (rising), those with which the keys of
             its records begin; labels, one for each; gaps (rising), the places in the list of its
             images of those that the LMDB lacks, since a key's number is a place in a list
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import lmdb
import numpy as np
import numpy.typing as npt

from caffe_transfer import paths
from caffe_transfer.errors import FormatError, Incomplete
from caffe_transfer.reading import reading
from caffe_transfer.version import __version__

Numbers: TypeAlias = npt.NDArray[np.uint32]
Labels: TypeAlias = npt.NDArray[np.int32]

_KEYS_LOOKED_AT = 64
_KINDS = ("<u4", "<i4", "<u4")  # of numbers, labels and gaps


@dataclass(frozen=True)
class Identity:
    """What tells an LMDB from others without reading all of it.

    Attributes:
        records: their number; bytes: size of data.mdb.
        keys_sha256: of some keys, evenly spread.
    """

    records: int
    bytes: int
    keys_sha256: str


@dataclass(frozen=True)
class View:
    """A view.

    Attributes:
        path: its folder; database: that of its LMDB.
        identity: of the LMDB when the view was made.
        numbers, labels, gaps: as in records.bin.
    """

    path: Path
    database: Path
    identity: Identity
    numbers: Numbers
    labels: Labels
    gaps: Numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def check_database(self, transaction: lmdb.Transaction) -> None:
        """Check that an open LMDB is the one that the view was made of.

        Raises:
            FormatError: it is another.
        """
        found = identity_of(self.database, transaction)
        for what, is_same in (
            ("size", (found.records, found.bytes) == (self.identity.records, self.identity.bytes)),
            ("order", found.keys_sha256 == self.identity.keys_sha256),
        ):
            if not is_same:
                raise FormatError(
                    f"{self.path} is a view of another database than {self.database} is now, of "
                    f"another {what}; put the old one back, or remove {self.path} to make it anew"
                )
        if self.numbers[-1] > _last_number(transaction):
            raise self._lacks(int(self.numbers[-1]))

    def records(
        self, transaction: lmdb.Transaction, backwards: bool = False
    ) -> Iterator[tuple[memoryview, memoryview, int]]:
        """Key, value and own label of each record; LMDB finds the next key in the same page.

        Raises:
            FormatError: the LMDB has no such record.
        """
        cursor = transaction.cursor()
        step = -1 if backwards else 1
        for number, label in zip(self.numbers[::step].data, self.labels[::step].data, strict=True):
            start = b"%08d_" % number
            if not cursor.set_range(start) or bytes(cursor.key()[: len(start)]) != start:
                raise self._lacks(number)
            key, value = cast(tuple[memoryview, memoryview], cursor.item())
            yield key, value, label

    def own_numbers(self) -> npt.NDArray[np.int64]:
        """The number of each record in a database that is made of the view's own list."""
        everything = np.arange(len(self.numbers) + len(self.gaps))
        return np.delete(everything, self.gaps)

    def _lacks(self, number: int) -> FormatError:
        return FormatError(
            f"{self.path} names record {number}, which {self.database} does not have; remove "
            f"{self.path} to make it anew"
        )


def identity_of(database: Path, transaction: lmdb.Transaction) -> Identity:
    """The identity of an open LMDB."""
    digest = hashlib.sha256()
    cursor = transaction.cursor()
    for number in np.linspace(0, _last_number(transaction), _KEYS_LOOKED_AT, dtype=int).tolist():
        if cursor.set_range(b"%08d" % number):
            digest.update(bytes(cursor.key()) + b"\n")
    size = (database / paths.LMDB_DATA).stat().st_size
    return Identity(int(transaction.stat()["entries"]), size, digest.hexdigest())


def _last_number(transaction: lmdb.Transaction) -> int:
    """The number with which the last key begins; -1 if there is none."""
    cursor = transaction.cursor()
    number = bytes(cursor.key()).partition(b"_")[0] if cursor.last() else b""
    return int(number) if number.isdigit() else -1


def is_view(path: Path) -> bool:
    """Whether a folder holds a view."""
    return os.path.isfile(path / paths.VIEW)  # also of a path that is too long to be one


def read_view(path: Path) -> View:
    """Read a view, whose LMDB is not looked into.

    Raises:
        FormatError: a file of it is damaged.
        Incomplete: its LMDB is not there.
    """
    remedy = f"remove {path} to make it anew"
    with reading(path / paths.VIEW, "a view", remedy, missing=remedy):
        table = json.loads((path / paths.VIEW).read_text(encoding="utf-8"))
        database, identity = _joined(path, str(table["database"])), Identity(**table["identity"])
        is_there = database.is_dir()
    with reading(path / paths.VIEW_RECORDS, "what the view holds", remedy, missing=remedy):
        content = (path / paths.VIEW_RECORDS).read_bytes()
        if hashlib.sha256(content).hexdigest() != table["sha256"]:
            raise _damaged(path)
        numbers, labels, gaps = _arrays(content, table["count"], table["gaps"])
    view = View(path, database, identity, numbers, labels, gaps)
    if not _is_sound(view):
        raise _damaged(path)
    if not is_there:
        raise Incomplete(
            f"{path} is a view of {view.database}, which is not there; put it back, or remove "
            f"{path} to make it anew"
        )
    return view


def _joined(path: Path, relative: str) -> Path:
    # Without the ".." where no link is on the way, for messages.
    joined = path / relative
    plain = Path(os.path.normpath(joined))
    return plain if plain.exists() and joined.exists() and plain.samefile(joined) else joined


def _arrays(content: bytes, count: int, gaps: int) -> list[npt.NDArray[Any]]:
    """The arrays in the content of records.bin."""
    arrays, at = [], 0
    for kind, length in zip(_KINDS, (count, count, gaps), strict=True):
        arrays.append(np.frombuffer(content, kind, length, at))
        at += arrays[-1].nbytes
    if at != len(content):
        raise ValueError("it has another length")
    return arrays


def _is_sound(view: View) -> bool:
    count, gaps = len(view.numbers), view.gaps.astype(np.int64)
    return bool(
        count
        and (np.diff(view.numbers.astype(np.int64)) > 0).all()
        and (np.diff(gaps) > 0).all()
        and (gaps < count + len(gaps)).all()
        and (view.labels >= 0).all()
    )


def _damaged(path: Path) -> FormatError:
    return FormatError(f"the view {path} is damaged; remove it to make it anew")


def write_view(view: View, folder: Path) -> None:
    """Write the files of a view into a folder, which is in or will come to the view's place.

    Raises:
        OSError: they cannot be written.
    """
    real = Path(os.path.realpath(view.database.parent)) / view.database.name
    content = b"".join(
        array.astype(kind).tobytes()
        for kind, array in zip(_KINDS, (view.numbers, view.labels, view.gaps), strict=True)
    )
    table = {
        "database": os.path.relpath(
            real, Path(os.path.realpath(view.path.parent)) / view.path.name
        ),
        "identity": asdict(view.identity),
        "count": len(view),
        "gaps": len(view.gaps),
        "sha256": hashlib.sha256(content).hexdigest(),
        "versions": {"caffe_transfer": __version__},
    }
    (folder / paths.VIEW_RECORDS).write_bytes(content)
    (folder / paths.VIEW).write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
