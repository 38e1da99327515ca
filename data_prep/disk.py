"""How much disk the databases of a study take, before they are made."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from caffe_transfer.data_prep.listings import listing_of
from caffe_transfer.data_prep.plan import data_sets, part_of, plans
from caffe_transfer.data_prep.sources import FOLDER
from caffe_transfer.formats.datum import MOST_BYTES_AROUND_PIXELS
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Images, Study

# Of a file as LMDB writes it (mdb.c, pages of 4096 bytes): what a page has for records, the largest
# record that lies in a leaf page, what surrounds a record there and what begins a run of pages.
_PAGE, _PAGE_HEADER = 4096, 16
_LARGEST_IN_LEAF = 2038
_NODE, _NODE_AND_OFFSET, _PAGE_NUMBER = 8, 10, 8
_KEY = 40  # bytes: a number of eight digits, and a path such as ImageNet's
_VIEW_RECORD = 8  # bytes of a record in a view
# What a copy may take beyond its share of the database that it is taken from: its names may be
# longer than the average, and a database of few records has its pages for itself.
_COPY_MARGIN, _SMALLEST = 1.01, 16 * _PAGE


@dataclass(frozen=True)
class _Count:
    """Images of each class of a source.

    Attributes:
        train, valid: on average.
        most: training images of the largest class.
    """

    train: float
    valid: float
    most: int

    def limited(self, images: Images) -> "_Count":
        """Those that a study uses."""
        train, valid = images.train_per_class, images.valid_per_class
        return _Count(
            min(self.train, train or self.train),
            min(self.valid, valid or self.valid),
            min(self.most, train or self.most),
        )


_KNOWN = {
    "fashion-mnist": _Count(6000, 1000, 6000),
    "tiny-imagenet": _Count(500, 50, 500),
    "ilsvrc12": _Count(1_281_167 / 1000, 50, 1300),
}


@dataclass(frozen=True)
class DatabaseSizes:
    """Bytes of a study's databases.

    Attributes:
        kept: of those that are made from images, together.
        taken: of each of the others, by data set, as a database of its own.
    """

    kept: int
    taken: Mapping[str, int]

    @property
    def total(self) -> int:
        return self.kept + sum(self.taken.values())


def disk_estimate(study: Study, views: bool) -> int | None:
    """Bytes of the study's databases, None where the number of images is not known.

    Args:
        views: data sets that are part of another's database are views of it.
    """
    found = _counts(study)
    if found is None:
        return None
    made, taken, record = found
    each = _VIEW_RECORD if views else record
    return math.ceil(record * sum(made.values()) + each * sum(taken.values()))


def estimated_sizes(study: Study) -> DatabaseSizes | None:
    """The study's databases before any is made, None where the number of images is not known."""
    found = _counts(study)
    if found is None:
        return None
    made, taken, record = found
    sizes = {name: copy_bytes(count, record) for name, count in taken.items()}
    return DatabaseSizes(math.ceil(record * sum(made.values())), sizes)


def copy_bytes(count: float, record: float) -> int:
    """The most bytes that a database of so many records takes.

    Args:
        record: bytes that a record takes in a database of many.
    """
    return math.ceil(_COPY_MARGIN * record * count) + _SMALLEST


@dataclass(frozen=True)
class PlannedDatabase:
    """A database of a study before it is made.

    Attributes:
        taken_from: the data set of which it is a part; None for one that is made from images.
        bytes: None where the number of images is not known.
    """

    name: str
    taken_from: str | None
    bytes: int | None


def planned_databases(study: Study, views: bool) -> list[PlannedDatabase]:
    """The study's databases in the order in which they are made.

    Args:
        views: data sets that are part of another's database are views of it.
    """
    found = _counts(study)
    planned = []
    for plan in plans(study):
        for name in (*plan.converted, *plan.taken):
            size = None
            if found is not None:
                made, taken, record = found
                each = _VIEW_RECORD if views and name in taken else record
                # One that holds all images is the same files under two names.
                size = math.ceil(each * (made | taken).get(name, 0))
            taken_from = plan.base if name in plan.taken else None
            planned.append(PlannedDatabase(name, taken_from, size))
    return planned


def _counts(study: Study) -> tuple[dict[str, float], dict[str, float], float] | None:
    """Images of each set that is made from images, of each that is taken, bytes of a record."""
    source = _count(study.images)
    if source is None:
        return None
    count = source.limited(study.images)
    sets = data_sets(study)
    made, taken = {}, {}
    for plan in plans(study):
        for name in plan.converted:
            made[name] = _images(name, sets.get(name), study, count)
        for name in plan.taken:
            if not _is_whole(sets[name], name, study, count):
                taken[name] = _images(name, sets[name], study, count)
    return made, taken, record_bytes(study.images.channels * study.images.size**2)


def record_bytes(pixels: int) -> float:
    """Bytes that an image takes in an LMDB.

    Args:
        pixels: numbers in the image, channels x height x width.
    """
    value = pixels + MOST_BYTES_AROUND_PIXELS
    if _NODE + _KEY + value <= _LARGEST_IN_LEAF:
        return _PAGE / ((_PAGE - _PAGE_HEADER) // (_NODE_AND_OFFSET + _KEY + value))
    in_leaf = _NODE_AND_OFFSET + _KEY + _PAGE_NUMBER
    return math.ceil((_PAGE_HEADER + value) / _PAGE) * _PAGE + in_leaf


def _images(name: str, network: Network | None, study: Study, count: _Count) -> float:
    """Images of a data set.

    Args:
        network: one that reads it; None if none does, and others are taken from it.
    """
    if part_of(name) == "valid":
        each = count.valid
    else:
        each = min(count.train, (network.per_class if network else None) or count.train)
    return each * (study.classes_of(network) if network else study.images.classes)


def _is_whole(network: Network, name: str, study: Study, count: _Count) -> bool:
    """Whether a data set holds all images, and shares the database of the whole."""
    return study.classes_of(network) == study.images.classes and (
        part_of(name) == "valid" or (network.per_class or count.most) >= count.most
    )


def _count(images: Images) -> _Count | None:
    if images.source != FOLDER or images.path is None or not Path(images.path).is_dir():
        return _KNOWN.get(images.source)
    listing = listing_of(Path(images.path), images.valid_fraction)
    train, valid = (listing.lists[part] for part in ("train", "valid"))
    most = max(Counter(train.labels).values(), default=0)
    return _Count(len(train) / images.classes, len(valid) / images.classes, most)
