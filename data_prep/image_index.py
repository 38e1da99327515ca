"""Where images lie that are no files of their names: in tars, or in folders that lists leave out.

An index is made once, from headers and folders alone, and kept beside the link to the images, since
the headers of ImageNet's tars lie scattered over 138 GB.  It is small: 1.3 million images take
60 MB, in a file as in memory.
"""

import json
import os
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from caffe_transfer.data_prep import tars
from caffe_transfer.data_prep.names import shown
from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_write
from caffe_transfer.reading import reading

_FILE = -1  # the offset of an image that is a file of its own


class Holder(NamedTuple):
    """A tar or a folder that holds images.

    Attributes:
        path: relative to the root of all; "" for the root itself.
        size, changed: bytes and time in nanoseconds of a tar; -1 for a folder.
    """

    path: str
    size: int = -1
    changed: int = -1


class Place(NamedTuple):
    """Where an image lies: in which holder, as a file there or as `size` bytes from `offset` on."""

    holder: int
    offset: int
    size: int

    @property
    def is_file(self) -> bool:
        return self.offset == _FILE


def holder_of_tar(root: Path, path: str) -> Holder:
    """The tar at `path`, as it is now."""
    status = (root / path).stat()
    return Holder(path, status.st_size, status.st_mtime_ns)


@dataclass
class Draft:
    """What an index is made of, in any order; no name twice."""

    holders: list[Holder] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    places: dict[str, "array[int]"] = field(
        default_factory=lambda: {name: array("q") for name in Place._fields}
    )

    def add(self, name: str, offset: int = _FILE, size: int = -1) -> None:
        """Add an image of the last holder; a file of its own where no offset is given.

        A name with a line break is left out: no list can name it, and here it would be two.
        """
        if "\n" in name:
            return
        self.names.append(name)
        for column, value in zip(
            self.places.values(), (len(self.holders) - 1, offset, size), strict=True
        ):
            column.append(value)

    def index(self) -> "ImageIndex":
        """The finished index."""
        names = [os.fsencode(name) for name in self.names]
        order = sorted(range(len(names)), key=names.__getitem__)
        columns = [np.frombuffer(column, np.int64)[order] for column in self.places.values()]
        text = b"".join(names[row] + b"\n" for row in order)
        return ImageIndex(tuple(self.holders), text, *columns)


class ImageIndex:
    """The places of images by their names in a list."""

    def __init__(
        self,
        holders: tuple[Holder, ...],
        names: bytes,
        holder: npt.NDArray[np.int64],
        offset: npt.NDArray[np.int64],
        size: npt.NDArray[np.int64],
    ) -> None:
        """Take the columns: names sorted by their bytes, each with a line break after it."""
        self.holders = holders
        self._names = names
        self._columns = holder, offset, size
        breaks = np.flatnonzero(np.frombuffer(names, np.uint8) == ord("\n"))
        # Not numpy's array, which gives out single numbers slowly.
        self._starts = array("q", np.append(0, breaks + 1).tobytes())

    @classmethod
    def of_tar(cls, path: Path) -> Self:
        """The images of one tar, under their names in it.

        Raises:
            FormatError, BadInput: as tars.members does.
        """
        draft = Draft([Holder("")])
        for name, offset, size in tars.members(path):
            draft.add(name, offset, size)
        index = draft.index()
        return cls(index.holders, index._names, *index._columns)

    @classmethod
    def read(cls, path: Path, root: Path) -> Self:
        """Read what `write` wrote, for the images at `root`.

        Raises:
            FormatError: the file is damaged.
            BadInput: a tar has changed since, or is not there.
        """
        with (
            reading(path, "a list of where the images lie", _again(path), missing=_again(path)),
            path.open("rb") as file,
            np.load(file, allow_pickle=False) as columns,
        ):
            holders = tuple(Holder(*each) for each in json.loads(columns["holders"].tobytes()))
            names = columns["names"].tobytes()
            index = cls(holders, names, *(columns[name] for name in Place._fields))
        index._check_unchanged(path, root)
        return index

    def write(self, path: Path) -> None:
        """Write the index, whole or not at all.

        Raises:
            BadInput: the file cannot be written.
        """
        columns = dict(zip(Place._fields, self._columns, strict=True))
        holders = np.frombuffer(json.dumps(self.holders).encode(), np.uint8)
        names = np.frombuffer(self._names, np.uint8)
        with atomic_write(path) as file:
            np.savez(file, allow_pickle=False, holders=holders, names=names, **columns)

    def _check_unchanged(self, path: Path, root: Path) -> None:
        for holder in self.holders:
            if holder.size < 0:
                continue
            try:
                there = holder_of_tar(root, holder.path)
            except OSError as error:
                raise BadInput(
                    f"{shown(root / holder.path)}, which holds images, cannot be read: "
                    f"{error.strerror}; put it there, or {_again(path)}"
                ) from error
            if there != holder:
                raise BadInput(
                    f"{shown(root / holder.path)} has changed since its images were listed; "
                    f"{_again(path)}"
                )

    def find(self, name: str) -> Place | None:
        """Where an image lies; None if it is not in the index."""
        wanted = os.fsencode(name)
        row = bisect_left(range(len(self._starts) - 1), wanted, key=self._name)
        if row == len(self._starts) - 1 or self._name(row) != wanted:
            return None
        return Place(*(int(column[row]) for column in self._columns))

    def own_path(self, name: str) -> str:
        """Where an image lies below the root, as its owner has it: "x.tar/1.jpg" in a tar.

        One that is not in the index has the name of the list.
        """
        place = self.find(name)
        if place is None:
            return name
        holder, base = self.holders[place.holder].path, os.path.basename(name)
        # A tar of more than one class holds folders or tars, as the list's name tells.
        is_flat = place.is_file or os.path.dirname(name) == _stem(holder)
        return os.path.join(holder, base if is_flat else name)

    def names(self) -> frozenset[str]:
        """All names."""
        return frozenset(os.fsdecode(self._names).split("\n")[:-1])

    def _name(self, row: int) -> bytes:
        return self._names[self._starts[row] : self._starts[row + 1] - 1]


def _stem(tar: str) -> str:
    return os.path.basename(tar).removesuffix(tars.ENDING)


def _again(path: Path) -> str:
    return f"remove {shown(path.parent)} to have them listed anew"
