"""Image lists: text files of "path label" lines, as Caffe's convert_imageset reads them."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from caffe_transfer.errors import BadInput, FormatError, Incomplete
from caffe_transfer.files import atomic_text

MAX_SEED = 2**32 - 1  # of numpy's RandomState


@dataclass(frozen=True)
class ImageList:
    """Images and their labels, in the order in which Caffe will meet them.

    Attributes:
        paths: relative to a root folder that the list does not name.
        labels: class indices from 0, one a path.
    """

    paths: tuple[str, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def text(self) -> str:
        """The list as its file holds it."""
        return "".join(
            f"{path} {label}\n" for path, label in zip(self.paths, self.labels, strict=True)
        )

    @property
    def class_count(self) -> int:
        """The number of outputs a net needs for these labels."""
        return max(self.labels, default=-1) + 1

    def relabel(self, classes: Sequence[int]) -> "ImageList":
        """The images of `classes` alone; a class's new label is its place in `classes`."""
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
        return self._take(kept)

    def shuffled(self, seed: int) -> "ImageList":
        """The same images in a random order that depends on `seed` alone.

        Raises:
            BadInput: the seed is not one of numpy's.
        """
        if not 0 <= seed <= MAX_SEED:
            raise BadInput(f"{seed} is not a seed from 0 to {MAX_SEED}; name another")
        return self._take(np.random.RandomState([seed]).permutation(len(self)).tolist())

    def _take(self, kept: Iterable[int]) -> "ImageList":
        order = list(kept)
        return ImageList(tuple(self.paths[i] for i in order), tuple(self.labels[i] for i in order))

    def check_files(self, root: Path) -> None:
        """Look whether every image is there.

        Raises:
            BadInput: some are not; the first is named.
        """
        missing = [path for path in self.paths if not os.path.isfile(root / path)]
        if missing:
            raise BadInput(
                f"{len(missing)} of {len(self)} images of the list are missing, first "
                f"{root / missing[0]}; check the root folder and the list"
            )

    def check_labels(self, classes: int) -> None:
        """Look whether every label is below `classes`.

        Raises:
            BadInput: one is not; its image is named.
        """
        for path, label in zip(self.paths, self.labels, strict=True):
            if label >= classes:
                raise BadInput(
                    f"image {path} has label {label}, but there are {classes} classes "
                    f"(labels 0 to {classes - 1}); correct the list or the list of classes"
                )


def read(path: Path) -> ImageList:
    """Read a list.

    Raises:
        Incomplete: there is no such file.
        FormatError: a line is not "path label", or a path holds a space, at which
            convert_imageset of 2014 would end it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not a text file in UTF-8: {error.reason}") from error
    except FileNotFoundError as error:
        raise Incomplete(f"there is no image list {path}; write it or name another") from error
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    # Not splitlines(), which would also split at characters that a name may hold.
    parsed = [
        _parse(path, number, line.rstrip("\r"))
        for number, line in enumerate(text.removesuffix("\n").split("\n"), 1)
        if text
    ]
    if not parsed:
        raise FormatError(f"{path} lists no images; it needs lines such as 'cat/1.jpg 0'")
    return ImageList(tuple(name for name, _ in parsed), tuple(label for _, label in parsed))


def _parse(path: Path, number: int, line: str) -> tuple[str, int]:
    name, _, label = line.rpartition(" ")
    if not name or not (label.isascii() and label.isdigit()):
        raise FormatError(f"{path}, line {number}: {line!r} is not 'path label'")
    check_name(name, f"{path}, line {number}")
    return name, int(label)


def check_name(name: str, where: str) -> None:
    """Refuse a path that a list cannot hold.

    Raises:
        FormatError: white space in it; `where` is named.
    """
    if len(name.split(None, 1)) != 1 or name.strip() != name:
        raise FormatError(
            f"{where}: the name {name!r} holds a space, which ends a name in an image list; "
            "rename the file"
        )


def write(images: ImageList, path: Path) -> None:
    """Write a list, whole or not at all.

    Raises:
        FormatError: a path holds a space.
        BadInput: the file cannot be written.
    """
    for name in images.paths:
        check_name(name, str(path))
    atomic_text(path, images.text)
