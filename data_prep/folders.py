"""Images in folders, one a class, as PyTorch's ImageFolder has them too.

Either train/CLASS/ and valid/CLASS/, or CLASS/ alone, of whose images a share is set aside for
validation.  Images in folders within a class's folder belong to the class.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from caffe_transfer.data_prep.left_out import Fault, LeftOut
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.names import canonical, class_name_fault, shown
from caffe_transfer.data_prep.splits import PART_WORDS
from caffe_transfer.errors import BadInput, Incomplete

IMAGE_ENDINGS = {".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif",
                 ".tiff", ".webp"}  # fmt: skip
VALID_FRACTION = 0.2  # where the user names no other
SPLIT_SEED = 1
PART_NAMES = {"train": ("train",), "valid": ("valid", "val")}
# What systems leave in folders, beside names that begin with a dot.
_SYSTEM_FILES = {"thumbs.db", "desktop.ini", "__macosx"}
_Identity = tuple[int, int]


@dataclass(frozen=True)
class Listing:
    """The images of a folder.

    Attributes:
        roots: the folders that the lists' paths are relative to, by part.
        lists: the images by part: "train" and "valid".
        classes: the classes' names by label: sorted, in Unicode's form NFC.
        left_out: files that are no images by their names, with their full paths.
        problems: sentences on what must be mended before the images can be used.
    """

    roots: Mapping[str, Path]
    lists: Mapping[str, ImageList]
    classes: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    problems: tuple[str, ...]


@dataclass
class _Found:
    """What one folder of classes holds: paths relative to it by class, in order."""

    root: Path
    images: dict[str, list[str]] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def list_folder(root: Path, valid_fraction: float | None = None) -> Listing:
    """List the images of a folder with their classes; no image is opened.

    Args:
        valid_fraction: share of each class that is set aside for validation, where the folder is
            not divided itself; None for VALID_FRACTION.

    Raises:
        BadInput: the folder cannot be read, or `valid_fraction` is given for one that is divided.
        Incomplete: there is a folder for one part and none for the other.
    """
    try:
        return _listed(root, valid_fraction)
    except OSError as error:
        raise BadInput(
            f"{shown(error.filename)} cannot be read: {error.strerror}; name another folder"
        ) from error


def _listed(root: Path, valid_fraction: float | None) -> Listing:
    roots = part_roots(root)
    if not roots:
        return _divided(_find(root), VALID_FRACTION if valid_fraction is None else valid_fraction)
    if valid_fraction is not None:
        raise BadInput(
            f"valid_fraction is given, but {shown(roots['valid'])} holds the validation images; "
            "leave one of the two out"
        )
    return _joined({part: _find(folder) for part, folder in roots.items()})


def part_roots(root: Path) -> dict[str, Path]:
    """The folders train/ and valid/ (or val/, in any case of letters); {} if there are none.

    A folder of that name that holds images itself, beside no other, is a class.

    Raises:
        Incomplete: one of the two is missing.
    """
    folders = {each.name.lower(): each for each in sorted(root.iterdir()) if each.is_dir()}
    found = {
        part: next((folders[name] for name in names if name in folders), None)
        for part, names in PART_NAMES.items()
    }
    there = {part: folder for part, folder in found.items() if folder is not None}
    if len(there) == len(PART_NAMES):
        return there
    for part, folder in there.items():
        if not any(is_image_name(each.name) for each in folder.iterdir()):
            (other,) = set(PART_NAMES) - {part}
            raise Incomplete(
                f"{shown(root)} lacks {' or '.join(PART_NAMES[other])}; add it, or name "
                f"{shown(folder)} to have a part of its images set aside for validation"
            )
    return {}


def split_class(names: Sequence[str], fraction: float) -> tuple[list[str], list[str]]:
    """Training and validation images of one class, each in the order of their names.

    The choice depends on the names alone: not on other classes, nor on the order of the names.

    Args:
        names: two or more.
    """
    ordered = sorted(names)
    count = min(max(round(fraction * len(ordered)), 1), len(ordered) - 1)
    chosen = set(np.random.RandomState([SPLIT_SEED]).permutation(len(ordered))[:count].tolist())
    return (
        [name for number, name in enumerate(ordered) if number not in chosen],
        [name for number, name in enumerate(ordered) if number in chosen],
    )


def _joined(found: Mapping[str, _Found]) -> Listing:
    """The listing of a folder that is divided already."""
    classes = sorted({name for part in found.values() for name in part.images})
    problems = [problem for part in found.values() for problem in part.problems]
    for name in classes:
        lacking = [part for part in found if not found[part].images.get(name)]
        if len(lacking) == len(found):
            problems.append(f"class {name} has no images")
        else:
            problems += [f"class {name} has no {PART_WORDS[part]} images" for part in lacking]
    if not classes:
        problems.append(f"{shown(found['train'].root)} holds no images in folders, one a class")
    return Listing(
        roots={part: each.root for part, each in found.items()},
        lists={part: _image_list(classes, each.images) for part, each in found.items()},
        classes=tuple(classes),
        left_out=tuple(each for part in found.values() for each in part.left_out),
        problems=tuple(problems),
    )


def _divided(found: _Found, fraction: float) -> Listing:
    """The listing of a folder whose classes are divided here."""
    problems = list(found.problems)
    parts: dict[str, dict[str, list[str]]] = {"train": {}, "valid": {}}
    for name, images in found.images.items():
        if len(images) > 1:
            parts["train"][name], parts["valid"][name] = split_class(images, fraction)
        elif images:
            problems.append(f"class {name} has one image, and needs another for validation")
        else:
            problems.append(f"class {name} has no images")
    if not found.images:
        problems.append(f"{shown(found.root)} holds no images in folders, one a class")
    classes = sorted(found.images)
    return Listing(
        roots=dict.fromkeys(parts, found.root),
        lists={part: _image_list(classes, images) for part, images in parts.items()},
        classes=tuple(classes),
        left_out=tuple(found.left_out),
        problems=tuple(problems),
    )


def _image_list(classes: Sequence[str], images: Mapping[str, Sequence[str]]) -> ImageList:
    rows = [(path, label) for label, name in enumerate(classes) for path in images.get(name, ())]
    return ImageList(tuple(path for path, _ in rows), tuple(label for _, label in rows))


def _find(root: Path) -> _Found:
    """All images below the folders in `root`, each of which is a class."""
    found = _Found(root)
    folder_of: dict[str, str] = {}
    for entry in entries_of(root):
        if not is_folder(entry):
            why = Fault.OUTSIDE if is_image_name(entry.name) else Fault.OTHER_ENDING
            found.left_out.append(LeftOut(entry.path, why))
            continue
        name = canonical(entry.name)
        if fault := class_name_fault(name):
            found.problems.append(f"{shown(entry.path)} cannot name a class: {fault}")
        elif name in folder_of:
            found.problems.append(
                f"{folder_of[name]!a} and {entry.name!a} in {shown(root)} are one name, "
                "written in two forms of Unicode"
            )
        else:
            folder_of[name] = entry.name
            found.images[name] = _images_of_class(found, entry.name)
    return found


def _images_of_class(found: _Found, folder: str) -> list[str]:
    images = []
    try:
        for entry in files_below(found.root / folder):
            name = entry.path.removeprefix(f"{found.root}{os.sep}")
            if fault := fault_of(entry, name):
                found.left_out.append(LeftOut(entry.path, fault))
            else:
                images.append(name)
    except OSError as error:
        found.problems.append(f"{shown(error.filename)} cannot be read: {error.strerror}")
    return sorted(images)


def fault_of(entry: os.DirEntry[str], name: str) -> Fault | None:
    """Why a file is not listed under a name."""
    if not is_image_name(entry.name):
        return Fault.OTHER_ENDING
    if "\n" in name:
        return Fault.LINE_BREAK
    try:
        return None if entry.is_file() else Fault.UNREADABLE
    except OSError:
        return Fault.UNREADABLE


def is_image_name(name: str) -> bool:
    """Whether a file's name ends as an image's."""
    return os.path.splitext(name)[1].lower() in IMAGE_ENDINGS


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; not asked of the disk where the entry tells."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def files_below(
    folder: Path | str, above: frozenset[_Identity] = frozenset()
) -> Iterator[os.DirEntry[str]]:
    """All files below a folder; links are followed, but not into a folder that they lie in.

    Args:
        above: the folders that it lies in.
    """
    status = os.stat(folder)
    identity = status.st_dev, status.st_ino
    if identity in above:
        return
    for entry in entries_of(folder):
        if is_folder(entry):
            yield from files_below(entry.path, above | {identity})
        else:
            yield entry


def entries_of(folder: Path | str) -> list[os.DirEntry[str]]:
    """What a folder holds, by name, without what the system keeps there."""
    with os.scandir(folder) as entries:
        return sorted(
            (entry for entry in entries if not is_system_file(entry.name)),
            key=lambda entry: entry.name,
        )


def is_system_file(name: str) -> bool:
    """Whether systems leave files of that name in folders, as notes of their own."""
    return name.startswith(".") or name.lower() in _SYSTEM_FILES
