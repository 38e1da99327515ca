"""Image lists: text files of "path label" lines, as Caffe's convert_imageset reads them.

The label follows the last space, so that a path may hold spaces, and any other byte but a line
break; its bytes in a list are its bytes on disk.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from caffe_transfer.data_prep.names import shown
from caffe_transfer.errors import BadInput, FormatError, shortened
from caffe_transfer.files import atomic_write
from caffe_transfer.reading import reading

MAX_SEED = 2**32 - 1  # of numpy's RandomState
_MAX_LABEL = 2**31 - 1  # of a Datum


@dataclass(frozen=True)
class ImageList:
    """Images and their labels, in the order in which they are written to a database.

    Attributes:
        paths: relative to a root folder, which is not part of the list.
        labels: class indices from 0, one for each path.
    """

    paths: tuple[str, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def text(self) -> str:
        """The contents of the list's file."""
        return "".join(
            f"{path} {label}\n" for path, label in zip(self.paths, self.labels, strict=True)
        )

    @property
    def content(self) -> bytes:
        """The bytes of the list's file."""
        return os.fsencode(self.text)

    @property
    def class_count(self) -> int:
        """The highest label plus one: the number of outputs that a net needs."""
        return max(self.labels, default=-1) + 1

    def relabel(self, classes: Sequence[int]) -> "ImageList":
        """The images of `classes` only; a class's new label is its position in `classes`."""
        new = {old: label for label, old in enumerate(classes)}
        kept = [i for i, label in enumerate(self.labels) if label in new]
        return ImageList(
            tuple(self.paths[i] for i in kept), tuple(new[self.labels[i]] for i in kept)
        )

    def first_of_each_class(self, count: int) -> "ImageList":
        """The first `count` images of each class, in list order, labels unchanged."""
        seen: Counter[int] = Counter()
        kept = []
        for i, label in enumerate(self.labels):
            seen[label] += 1
            if seen[label] <= count:
                kept.append(i)
        return self.take(kept)

    def shuffled(self, seed: int) -> "ImageList":
        """The same images in a random order that depends on `seed` alone.

        Raises:
            BadInput: the seed is not one of numpy's.
        """
        return self.take(self.permutation(seed).tolist())

    def permutation(self, seed: int) -> npt.NDArray[np.int64]:
        """The numbers of the images in the order in which `shuffled` puts them.

        Raises:
            BadInput: the seed is not one of numpy's.
        """
        if not 0 <= seed <= MAX_SEED:
            raise BadInput(f"{seed} is not a seed from 0 to {MAX_SEED}; name another")
        return np.random.RandomState([seed]).permutation(len(self))

    def take(self, kept: Iterable[int]) -> "ImageList":
        """The images of these numbers, in their order."""
        order = list(kept)
        return ImageList(tuple(self.paths[i] for i in order), tuple(self.labels[i] for i in order))

    def check_labels(self, classes: int) -> None:
        """Check that every label is below `classes`.

        Raises:
            BadInput: one is not; names its image.
        """
        for path, label in zip(self.paths, self.labels, strict=True):
            if label >= classes:
                raise BadInput(
                    f"image {shown(path)} has label {label}, but there are {classes} classes "
                    f"(labels 0 to {classes - 1}); correct the list or the list of classes"
                )


def read(path: Path) -> ImageList:
    """Read a list.

    Raises:
        Incomplete: there is no such file.
        FormatError: a line is not "path label".
    """
    with reading(path, "an image list", "name another", missing="write the list, or name another"):
        content = path.read_bytes()
    if b"\0" in content:
        raise FormatError(f"{path} is not a text file in UTF-8; write it as one")
    text = os.fsdecode(content)
    # Not splitlines(), which also splits at characters that a file name may contain.
    parsed = [
        _parse(path, number, line.rstrip("\r"))
        for number, line in enumerate(text.removesuffix("\n").split("\n"), 1)
        if text
    ]
    if not parsed:
        raise FormatError(f"{path} lists no images; it needs lines such as 'cat/1.jpg 0'")
    return ImageList(tuple(name for name, _ in parsed), tuple(label for _, label in parsed))


def count(path: Path) -> int:
    """The number of images in a list that `write` wrote."""
    return path.read_bytes().count(b"\n")


def _parse(path: Path, number: int, line: str) -> tuple[str, int]:
    name, _, label = line.rpartition(" ")
    if not name or not (label.isascii() and label.isdigit()):
        raise FormatError(f"{path}, line {number}: {shortened(repr(line))} is not 'path label'")
    digits = label.lstrip("0") or "0"  # Python refuses to convert thousands of digits
    if len(digits) > len(str(_MAX_LABEL)) or int(digits) > _MAX_LABEL:
        raise FormatError(
            f"{path}, line {number}: {shortened(label)} is above {_MAX_LABEL}, the last label"
        )
    return name, int(digits)


def write(images: ImageList, path: Path) -> None:
    """Write a list, whole or not at all.

    Raises:
        FormatError: a path contains a line break.
        BadInput: the file cannot be written.
    """
    for name in images.paths:
        if "\n" in name:
            raise FormatError(
                f"{path}: the name {name!r} holds a line break, which ends a line of an image "
                "list; rename the file"
            )
    with atomic_write(path) as file:
        file.write(images.content)
