"""Databases made of views, for programs that know no views: records are copied, not decoded."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path

from caffe_transfer import paths
from caffe_transfer.data_prep.conversion import key_of
from caffe_transfer.data_prep.left_out import read_left_out, write_left_out
from caffe_transfer.data_prep.lmdb_writer import LmdbWriter
from caffe_transfer.data_prep.progress import OnStep, paced, silent
from caffe_transfer.data_prep.records import (
    CopyJob,
    LmdbRecord,
    read_record,
    write_record,
)
from caffe_transfer.data_prep.unfinished import unfinished
from caffe_transfer.data_prep.views import make_room
from caffe_transfer.errors import BadInput, FormatError
from caffe_transfer.files import atomic_folder, sync
from caffe_transfer.formats.datum import relabelled
from caffe_transfer.formats.hashes import sha256
from caffe_transfer.formats.lmdb import Records, open_records
from caffe_transfer.formats.views import View, is_view
from caffe_transfer.formats.wire import WireError


def write_copy(view: Path, path: Path, progress: OnStep = silent) -> int:
    """Write the records of a view as a database of its own, which takes its name when it is whole.

    Records and keys are those that the images of the view's list give.  Beside it stand its record
    and the list of left out images, as beside the view.  What is stopped goes on when called again.

    Args:
        path: the view's own to put the database in its place; the view is kept beside it then, so
            that the database can be removed and made again.

    Returns:
        the number of records.

    Raises:
        BadInput: `view` is none, `path` is something else that is there, or the disk is full.
        Incomplete, FormatError: the view's database is not there or another now, or it is damaged.
        Busy: another process makes this database.
    """
    if not is_view(view):
        raise BadInput(f"{view} is no view; name a folder that holds {paths.VIEW}")
    if path.exists() and not (is_view(path) and path.samefile(view)):
        raise BadInput(f"{path} is there already; remove it or name another database")
    left_out = read_left_out(paths.left_out(view))
    with open_records(view) as records:
        assert records.view is not None
        job = CopyJob(asdict(records.view.identity), sha256(view / paths.VIEW_RECORDS))
        with unfinished(path, job, records.view.database) as work:
            with LmdbWriter(work.folder, path, work.committed) as writer:
                if writer.count:
                    work.committed()
                _copy(records, records.view, writer, paced(progress))
            record = read_record(view, LmdbRecord)
            if path.exists():
                _keep(view)
            make_room(path)
            write_left_out(left_out, paths.left_out(path))
            if record is not None:
                size = (work.folder / paths.LMDB_DATA).stat().st_size
                write_record(path, replace(record, bytes=size))
            work.finish()
    return len(records.view)


def _keep(view: Path) -> None:
    """Copy a view to where it lies beside the database that takes its place."""
    kept = paths.kept_view(view)
    make_room(kept)
    with atomic_folder(kept) as folder:
        sync(*(Path(shutil.copy(view / name, folder)) for name in (paths.VIEW_RECORDS, paths.VIEW)))


def _copy(records: Records, view: View, writer: LmdbWriter, progress: OnStep) -> None:
    """Add the records that the database lacks, which was filled in their order."""
    done, total = writer.count, len(view)
    rest = replace(view, numbers=view.numbers[done:], labels=view.labels[done:])
    numbers = view.own_numbers()[done:].tolist()
    for number, (key, value, label) in zip(numbers, rest.records(records.transaction), strict=True):
        try:
            copied = relabelled(value, label)
        except WireError as error:
            raise FormatError(f"{records.name(key)} is not a Datum; make it anew") from error
        done += 1
        writer.put(key_of(number, bytes(key).partition(b"_")[2]), copied)
        progress("copying images", done, total)
