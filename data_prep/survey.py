"""A look at a folder of images before a study of them is written."""

import statistics
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from caffe_transfer.data_prep.containers import is_image
from caffe_transfer.data_prep.decode import Pixels, decode
from caffe_transfer.data_prep.folders import Listing, list_folder
from caffe_transfer.data_prep.left_out import Fault, LeftOut, reasons
from caffe_transfer.data_prep.names import shown
from caffe_transfer.data_prep.progress import OnStep, silent
from caffe_transfer.data_prep.splits import PARTS
from caffe_transfer.data_prep.threads import worker_threads
from caffe_transfer.errors import BadInput

MAX_DECODED = 1000
_BEGINNING_BYTES = 16
_REPORT_EVERY = 1000


@dataclass(frozen=True)
class ClassCount:
    """A class, and how many of its images are there for training and for validation.

    Those that are known to be left out are not counted.
    """

    name: str
    train: int
    valid: int


@dataclass(frozen=True)
class Survey:
    """What a folder of images holds.

    Attributes:
        divided: the folder has train/ and valid/; otherwise validation images are set aside.
        classes: by label.
        decoded: number of images that were decoded; what follows is of these alone.
        median_width, median_height: in pixels, as decoded (EXIF's orientation applied).
        smallest_side: in pixels.
        gray_share: from 0 to 1, of images that hold gray alone, whatever their file says.
        left_out: all files that are no images by their names or first bytes, and those of the
            decoded that cannot be used; with full paths.
        problems: what must be mended before the images can be used.
    """

    folder: Path
    divided: bool
    classes: tuple[ClassCount, ...]
    decoded: int
    median_width: int
    median_height: int
    smallest_side: int
    gray_share: float
    left_out: tuple[LeftOut, ...]
    problems: tuple[str, ...]

    @property
    def channels(self) -> int:
        """1 where every image is gray, else 3."""
        return 1 if self.gray_share == 1 else 3


@dataclass(frozen=True)
class _Look:
    """One decoded image: sides in pixels."""

    width: int
    height: int
    gray: bool


def survey(folder: Path, valid_fraction: float | None = None, progress: OnStep = silent) -> Survey:
    """Look at the images of a folder as the source "folder" takes them.

    The first bytes of every file are read; at most MAX_DECODED images, spread evenly over the
    classes, are decoded.

    Args:
        valid_fraction: as for data_prep.sources.fetch.

    Raises:
        BadInput: there is no such folder, it holds no image that can be used, or `valid_fraction`
            is given for a folder that is divided.
        Incomplete: there is a folder for training images and none for validation, or none for
            training.
    """
    if not folder.is_dir():
        raise BadInput(f"{shown(folder)} is not a folder; name one that holds images")
    listing = list_folder(folder.absolute(), valid_fraction)
    files = [listing.roots[part] / name for part in PARTS for name in listing.lists[part].paths]
    left_out = [*listing.left_out, *_no_images(files, progress)]
    known = {each.path for each in left_out}
    looks, broken = _look_at(_spread([f for f in files if str(f) not in known]), progress)
    left_out += broken
    if not looks:
        raise BadInput(_nothing(folder, listing, left_out))
    return Survey(
        folder=folder,
        divided=listing.roots["train"] != listing.roots["valid"],
        classes=_counts(listing, {each.path for each in left_out}),
        decoded=len(looks),
        median_width=statistics.median_high(look.width for look in looks),
        median_height=statistics.median_high(look.height for look in looks),
        smallest_side=min(min(look.width, look.height) for look in looks),
        gray_share=sum(look.gray for look in looks) / len(looks),
        left_out=tuple(left_out),
        problems=listing.problems,
    )


def _counts(listing: Listing, left_out: Collection[str]) -> tuple[ClassCount, ...]:
    train, valid = (_by_label(listing, part, left_out) for part in PARTS)
    rows = zip(listing.classes, train, valid, strict=True)
    return tuple(ClassCount(name, first, second) for name, first, second in rows)


def _by_label(listing: Listing, part: str, left_out: Collection[str]) -> list[int]:
    images, root = listing.lists[part], listing.roots[part]
    counts = [0] * len(listing.classes)
    for path, label in zip(images.paths, images.labels, strict=True):
        counts[label] += str(root / path) not in left_out
    return counts


def _nothing(folder: Path, listing: Listing, left_out: Sequence[LeftOut]) -> str:
    why = "; ".join(listing.problems[:1]) or reasons(left_out)
    return f"{shown(folder)} holds no image that can be used: {why}; name another folder"


def _no_images(files: Sequence[Path], progress: OnStep) -> Iterator[LeftOut]:
    """The files that do not begin as an image does."""
    for number, path in enumerate(files, 1):
        try:
            with path.open("rb") as file:
                beginning = file.read(_BEGINNING_BYTES)
        except OSError:
            yield LeftOut(str(path), Fault.UNREADABLE)
        else:
            if not beginning:
                yield LeftOut(str(path), Fault.EMPTY)
            elif not is_image(beginning):
                yield LeftOut(str(path), Fault.NOT_AN_IMAGE)
        if number % _REPORT_EVERY == 0 or number == len(files):
            progress("looking at files", number, len(files))


def _spread(files: Sequence[Path]) -> list[Path]:
    """At most MAX_DECODED of the files, evenly spaced."""
    count = min(len(files), MAX_DECODED)
    return [files[number * len(files) // count] for number in range(count)]


def _look_at(files: Sequence[Path], progress: OnStep) -> tuple[list[_Look], list[LeftOut]]:
    looks, broken = [], []
    with worker_threads() as threads:
        for number, (path, look) in enumerate(
            zip(files, threads.map(_look, files), strict=True), 1
        ):
            if isinstance(look, Fault):
                broken.append(LeftOut(str(path), look))
            else:
                looks.append(look)
            progress("decoding a sample", number, len(files))
    return looks, broken


def _look(path: Path) -> _Look | Fault:
    try:
        image = decode(path.read_bytes(), gray=False)
    except OSError:
        return Fault.UNREADABLE
    if isinstance(image, Fault):
        return image
    return _Look(image.shape[1], image.shape[0], _is_gray(image))


def _is_gray(image: Pixels) -> bool:
    blue, green, red = (image[..., channel] for channel in range(3))
    return np.array_equal(blue, green) and np.array_equal(green, red)
