"""The mean that a study's networks subtract: of its training images, or one that it gives."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from caffe_transfer import paths
from caffe_transfer.data_prep import lists, means, records
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.means import Undecoded
from caffe_transfer.data_prep.order import numbers_in
from caffe_transfer.data_prep.plan import part_of
from caffe_transfer.data_prep.progress import OnStep
from caffe_transfer.data_prep.records import MeanRecord
from caffe_transfer.data_prep.sources import Source
from caffe_transfer.data_prep.splits import Halves, whole_of
from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_write
from caffe_transfer.formats.binaryproto import read_blob
from caffe_transfer.formats.hashes import sha256
from caffe_transfer.paths import DataFolder
from caffe_transfer.studies.network import Split
from caffe_transfer.studies.study import Images
from caffe_transfer.units import shape_text

_WHOLE_TRAIN = whole_of("train")


def is_mean_made(images: Images, data: DataFolder) -> bool:
    """Whether the mean is there.

    Raises:
        BadInput: the one that is there was made of something else, or the study's own is of images
            of another size.
        Incomplete, FormatError: the study's own is not there, or is no mean.
    """
    if images.mean is not None:
        _check_shape(Path(images.mean), images, "set images.size to its size, or give mean_values")
    if not data.mean.is_file():
        return False
    record = records.read_record(data.mean, MeanRecord)
    if record is None:
        _check_shape(data.mean, images, f"remove {data.mean} to make it anew")
        return True
    if record.sha256 != sha256(data.mean):
        raise records.made_by_others(data.mean, "mean")
    remedy = f"remove {data.mean} to make it anew, or name another --out"
    if found := records.difference(record, {"size": images.size, "channels": images.channels}):
        raise BadInput(f"{data.mean} was made {found}; {remedy}")
    if images.mean is not None and record.sha256 != sha256(Path(images.mean)):
        raise BadInput(f"{data.mean} is another mean than {images.mean}; {remedy}")
    for name, digest in record.lists.items():
        listed = data.list(name)
        if listed.is_file() and digest not in (None, sha256(listed)):
            raise BadInput(f"{data.mean} was made of other images than {listed} lists; {remedy}")
    return True


def write_study_mean(
    names: Sequence[str], images: Images, source: Source, data: DataFolder, progress: OnStep
) -> None:
    """One mean for all networks, over the whole training set, as the authors had it.

    So it does not depend on which networks a study has now and gets later.  Images that the
    study's databases do not hold (it has reduced sets alone, one half alone, a custom split that
    leaves classes out) are decoded for the mean alone.  A mean that the study gives is copied.

    Args:
        names: data sets that hold no training image twice.
    """
    if images.mean is not None:
        _take(Path(images.mean), images, data)
        return
    whole = lists.read(data.list(_WHOLE_TRAIN))
    others = _without(whole, [lists.read(data.list(name)) for name in names])
    rest = Undecoded(others, source.folder.images("train"), images.size, images.gray)
    made_of: dict[str, str | None] = {}
    for name in names:
        database = records.read_record(data.lmdb(name), records.LmdbRecord)
        made_of[name] = database.list_sha256 if database else None
    if len(others):
        made_of[_WHOLE_TRAIN] = records.list_sha256(whole)
    databases = [data.lmdb(name) for name in names]
    means.write_mean(
        databases, data.mean, progress, rest, lambda digest: _record(digest, made_of, images, data)
    )
    clear_sums(names, data)


def clear_sums(names: Iterable[str], data: DataFolder) -> None:
    """Remove the sums of data sets' images, of which the mean is made."""
    for name in names:
        paths.pixel_sum(data.lmdb(name)).unlink(missing_ok=True)


def _without(whole: ImageList, parts: Sequence[ImageList]) -> ImageList:
    """The images of a list that none of its parts has."""
    rest = np.ones(len(whole), bool)
    for part in parts:
        rest[numbers_in(whole, part)] = False
    return whole.take(np.flatnonzero(rest).tolist())


def _record(
    digest: str, made_of: Mapping[str, str | None], images: Images, data: DataFolder
) -> None:
    """Write the record of a mean, whose SHA-256 is given: it does not have its name yet."""
    records.write_record(
        data.mean,
        MeanRecord(
            lists=made_of,
            size=images.size,
            channels=images.channels,
            sha256=digest,
            versions=records.versions(),
        ),
    )


def _check_shape(path: Path, images: Images, remedy: str) -> None:
    found, wanted = read_blob(path).shape[-3:], (images.channels, images.size, images.size)
    if found != wanted:
        raise BadInput(
            f"{path} is the mean of images of {shape_text(found)}, and those of the study are "
            f"{shape_text(wanted)}; {remedy}"
        )


def _take(path: Path, images: Images, data: DataFolder) -> None:
    content = path.read_bytes()
    _record(hashlib.sha256(content).hexdigest(), {}, images, data)
    with atomic_write(data.mean) as file:
        file.write(content)


def parts_of_whole(
    known: Collection[str], data: DataFolder, halves: Mapping[str, Halves]
) -> list[str]:
    """Data sets that hold as many training images as possible, none of them twice.

    Args:
        known: the data sets that there are, or will be; their lists are written.
        halves: the splits by their keys.
    """
    counts = {name: lists.count(data.list(name)) for name in known if part_of(name) == "train"}
    choices = [[name] for name in counts]
    for key, both in halves.items():
        named = [(f"{Split(key).task(side)}_train", chosen) for side, chosen in both.sides]
        there = [(name, chosen) for name, chosen in named if name in counts]
        classes = [label for _, chosen in there for label in chosen]
        if len(set(classes)) == len(classes):
            choices.append([name for name, _ in there])
    # Of those with as many images the first: one database before two.
    return max(choices, key=lambda names: sum(counts[name] for name in names), default=[])
