"""Makes views: data sets that are parts of a database, in its order and with their own labels."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from caffe_transfer import paths
from caffe_transfer.data_prep.conversion import name_in_key
from caffe_transfer.data_prep.left_out import Fault, LeftOut, read_left_out, write_left_out
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.lmdbs import check_enough
from caffe_transfer.data_prep.names import shown
from caffe_transfer.data_prep.order import numbers_in
from caffe_transfer.data_prep.records import LmdbJob, LmdbRecord, read_record, write_record
from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_folder, link, sync, temporary_path, writing
from caffe_transfer.formats.lmdb import open_lmdb
from caffe_transfer.formats.views import View, identity_of, is_view, write_view


class Base:
    """A database of a list's images, of which others are parts.

    It may have been made by convert_imageset, and in any order.

    Args:
        path: the database.
        images: the list; its labels are not looked for in the records.
        order: the numbers of the images in the order in which the database was or would have been
            made.

    Raises:
        Incomplete, FormatError: there is no such database.
        BadInput: its keys are not those of the list's images.
    """

    def __init__(self, path: Path, images: ImageList, order: npt.NDArray[np.int64]) -> None:
        self.path, self._images = path, images
        with open_lmdb(path) as environment, environment.begin() as transaction:
            self._identity = identity_of(path, transaction)
            keys = [bytes(key) for key in transaction.cursor().iternext(values=False)]
        found = [_number(key) for key in keys]
        names = order.tolist()
        self._in_order = all(
            0 <= number < len(names) and _is_of(key, images.paths[names[number]])
            for key, number in zip(keys, found, strict=True)
        )
        # The number of each image's record; -1 for those that it lacks.
        self._numbers = np.full(len(images), -1, np.int64)
        of = [names[number] for number in found] if self._in_order else self._by_names(keys)
        self._numbers[of] = found
        # Images that it lacks keep their places, which in another order are not known.
        self._places = np.full(len(images), len(images), np.int64)
        if self._in_order:
            self._places[order] = np.arange(len(images))
        faults = read_left_out(paths.left_out(path))
        self._faults: Mapping[str, Fault] = {each.path: each.fault for each in faults}

    def _by_names(self, keys: Sequence[bytes]) -> list[int]:
        """The images of records in another order."""
        numbers = {name_in_key(each): at for at, each in enumerate(self._images.paths)}
        found = []
        for key in keys:
            number = numbers.pop(key.partition(b"_")[2], None)
            if number is None or _number(key) < 0:
                raise BadInput(
                    f"{self.path} has a record {shown(os.fsdecode(key))}, which is no image of its "
                    f"data set's list, or one that it has twice; remove {self.path} to make it anew"
                )
            found.append(number)
        return found

    def take(self, images: ImageList, path: Path, job: LmdbJob) -> None:
        """Make a view of some images, or, where they are all with their labels, a link.

        Beside it stand its record, and the list of the images that the database lacks, if any.

        Args:
            images: in the order of the base's list.
            job: what the record says; the versions become those of the base.

        Raises:
            EmptyClasses: it has no image of a class.
            BadInput: an image is not in the base's list, or the folder is not writable.
        """
        chosen = numbers_in(self._images, images)
        lacking = np.flatnonzero(self._numbers[chosen] < 0)
        left_out = self._left_out([images.paths[at] for at in lacking])
        check_enough(images, self.path, path, left_out, strict=False, keep_classes=True)
        make_room(path)
        write_left_out(left_out, paths.left_out(path))
        record = read_record(self.path, LmdbRecord)
        if images == self._images:
            if record is not None:
                write_record(path, record)
            link(path, str(_beside(self.path)))
            return
        job = replace(job, versions=record.versions if record else {})
        view = self._view(path, chosen, np.array(images.labels, np.int32))
        self._write(path, view, job, len(left_out))

    def _left_out(self, names: Sequence[str]) -> list[LeftOut]:
        """The images that the database lacks, and why, if its own list says it."""
        return [LeftOut(name, self._faults.get(name, Fault.UNREADABLE)) for name in sorted(names)]

    def _view(
        self, path: Path, chosen: npt.NDArray[np.int64], labels: npt.NDArray[np.int32]
    ) -> View:
        numbers = self._numbers[chosen]
        order = np.argsort(np.where(numbers < 0, self._places[chosen], numbers), kind="stable")
        numbers, labels = numbers[order], labels[order]
        there = numbers >= 0
        return View(
            path=path,
            database=self.path,
            identity=self._identity,
            numbers=numbers[there].astype(np.uint32),
            labels=labels[there],
            gaps=np.flatnonzero(~there).astype(np.uint32),
        )

    def _write(self, path: Path, view: View, job: LmdbJob, left_out: int) -> None:
        with atomic_folder(path) as folder:
            write_view(view, folder)
            content = folder / paths.VIEW_RECORDS
            sync(content, folder / paths.VIEW)
            size = content.stat().st_size
            # Before the view takes its name: one of ours never stands without its record.
            record = LmdbRecord(**asdict(job), count=len(view), left_out=left_out, bytes=size)
            write_record(path, record)


def make_room(path: Path) -> None:
    """Remove a view, or a link of `Base.take`, whose place is needed.

    Raises:
        BadInput: a link of the user's leads to what is not there, or the folder is not writable.
    """
    if is_view(path):
        with writing(path):
            away = temporary_path(path)
            path.replace(away)
            shutil.rmtree(away)
    elif path.is_symlink() and not path.exists():
        target = Path(os.readlink(path))
        if target != _beside(path.parent.parent / target.parent.name / path.name):
            raise BadInput(f"{path} is a link to {target}, which is not there; put it back")
        path.unlink()


def _beside(database: Path) -> Path:
    """A database beside a data set, as a link in the place of that set's database names it."""
    return Path("..") / database.parent.name / database.name


def _number(key: bytes) -> int:
    """The number with which a key begins; -1 if it does not."""
    number = key.partition(b"_")[0]
    return int(number) if number.isdigit() else -1


def _is_of(key: bytes, name: str) -> bool:
    return key.partition(b"_")[2] == name_in_key(name)
