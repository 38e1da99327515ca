"""Databases that can be removed, since beside each lies the view that `write_copy` made it of.

What one of them has at any moment, also after a kill: a view, or a database and the view beside it,
or nothing, in whose place the next run puts a view.
"""

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from caffe_transfer import paths
from caffe_transfer.data_prep.disk import DatabaseSizes, copy_bytes
from caffe_transfer.data_prep.records import LmdbRecord, read_record, write_record
from caffe_transfer.data_prep.unfinished import forget_unfinished
from caffe_transfer.errors import FormatError, Incomplete
from caffe_transfer.files import remove_leftovers, temporary_path, writing
from caffe_transfer.formats.lmdb import open_records
from caffe_transfer.formats.views import is_view, read_view
from caffe_transfer.paths import DataFolder


def remove_database(path: Path) -> None:
    """Put a database's view back in its place, and remove what there is of an unfinished one.

    Raises:
        Busy: another process makes it.
        BadInput: the folder is not writable.
    """
    forget_unfinished(path)
    if not is_removable(path):
        return
    kept, record = paths.kept_view(path), read_record(path, LmdbRecord)
    away = temporary_path(path)
    with writing(path):
        size = (kept / paths.VIEW_RECORDS).stat().st_size
        path.replace(away)
        # While nothing is there: a record beside the other of the two would be taken for wrong.
        if record is not None:
            write_record(path, replace(record, bytes=size))
        kept.replace(path)
        shutil.rmtree(away)


def is_removable(path: Path) -> bool:
    """Whether a database is the copy of the view beside it, and can be copied again."""
    if path.is_symlink() or not path.is_dir() or is_view(path):
        return False
    if not is_view(kept := paths.kept_view(path)):
        return False
    try:
        record = read_record(path, LmdbRecord)
        with open_records(kept) as records:
            count = len(records)
    except (FormatError, Incomplete):
        return False
    data = path / paths.LMDB_DATA
    return (
        record is not None
        and data.is_file()
        and (record.bytes, record.count) == (data.stat().st_size, count)
    )


def sizes_of(names: Iterable[str], data: DataFolder) -> DatabaseSizes:
    """The bytes of data sets' databases, where views stand as if they were databases.

    Raises:
        Incomplete, FormatError: a view is damaged, or its database is not there.
    """
    taken: dict[str, int] = {}
    kept: dict[Path, int] = {}
    for name in names:
        path = data.lmdb(name)
        if is_view(path) or is_removable(path):
            view = read_view(path if is_view(path) else paths.kept_view(path))
            record = view.identity.bytes / view.identity.records
            taken[name] = copy_bytes(len(view), record)
            path = view.database
        kept[path.resolve()] = (path / paths.LMDB_DATA).stat().st_size
    return DatabaseSizes(sum(kept.values()), taken)


def left_by_earlier_runs(names: Iterable[str], data: DataFolder) -> list[str]:
    """The databases, finished or not, that can be removed; what was half removed is now."""
    found = []
    for name in names:
        path = data.lmdb(name)
        remove_leftovers(path)
        if is_removable(path) or paths.unfinished(path).exists():
            found.append(name)
    return found
