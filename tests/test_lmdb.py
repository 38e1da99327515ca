"""Databases, read: one sentence before an engine would abort."""

import gc
import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import lmdb
import pytest

from caffe_transfer.data_prep import lmdbs
from caffe_transfer.errors import BadInput, FormatError, Incomplete
from caffe_transfer.formats import lmdb as reading
from caffe_transfer.formats.lmdb import check_lmdb, open_lmdb
from tests.images import write_images


@pytest.fixture
def database(tmp_path: Path) -> Path:
    images = write_images(tmp_path / "images", count=3, classes=3)
    lmdbs.write_lmdb(images, tmp_path / "images", tmp_path / "db", size=8)
    return tmp_path / "db"


def test_a_good_one(database: Path) -> None:
    assert check_lmdb(database, shape=(3, 8, 8), crop=8, classes=3) == 3


def test_a_large_one_is_sampled(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHECK_ALL_BELOW", 1)
    monkeypatch.setattr(reading, "CHECK_ENDS", 1)
    with pytest.raises(BadInput, match="label 2"):  # of the last record
        check_lmdb(database, classes=2)


@pytest.mark.parametrize("same", [True, False])
def test_a_reader_that_is_collected_while_another_opens(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    """Python may finish a forgotten generator within any line of the thread that forgot it."""
    other = tmp_path / "other"
    shutil.copytree(database, other)

    def reads() -> Iterator[None]:
        with open_lmdb(database):
            yield

    forgotten: list[object] = [reads()]
    next(cast(Iterator[None], forgotten[0]))
    forgotten.append(forgotten)  # a cycle
    del forgotten
    waiting = reading._check_once

    def check(file: Path, status: os.stat_result) -> None:
        gc.collect()
        waiting(file, status)

    monkeypatch.setattr(reading, "_check_once", check)
    found: list[int] = []

    def work() -> None:
        with open_lmdb(database if same else other) as environment:
            found.append(environment.stat()["entries"])
            gc.collect()
            found.append(environment.stat()["entries"])

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(20)
    assert found == [3, 3]
    assert not reading._OPEN
    assert not reading._READERS


def test_one_that_is_open_already(database: Path) -> None:
    with open_lmdb(database) as environment:
        assert check_lmdb(database / ".." / database.name) > 0
        assert environment.stat()["entries"] == check_lmdb(database)
    with lmdb.open(str(database)):  # refuses a file that the process has open
        pass


def test_by_several_threads_at_once(database: Path) -> None:
    together = threading.Barrier(8)

    def check(_: int) -> set[int]:
        together.wait()
        return {check_lmdb(database) for _ in range(20)}

    with ThreadPoolExecutor(8) as threads:
        assert len(set[int].union(*threads.map(check, range(8)))) == 1


def test_bad_ones(database: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="shape 3x8x8, but the net's mean has 1x8x8"):
        check_lmdb(database, shape=(1, 8, 8))
    with pytest.raises(BadInput, match="smaller than the net's crop of 9"):
        check_lmdb(database, crop=9)
    with pytest.raises(BadInput, match="label 1, but the net has 1 outputs"):
        check_lmdb(database, classes=1)
    with pytest.raises(Incomplete, match="there is no database"):
        check_lmdb(tmp_path / "none")
    with pytest.raises(Incomplete, match="there is no database"):
        check_lmdb(Path("a" * 5000))
    with pytest.raises(FormatError, match="is not an LMDB"):
        check_lmdb(tmp_path / "images")


def test_foreign_and_empty_ones(tmp_path: Path) -> None:
    for name, content in (("empty", []), ("foreign", [(b"key", b"\xff\xff")])):
        with (
            lmdb.open(str(tmp_path / name)) as environment,
            environment.begin(write=True) as transaction,
        ):
            for key, value in content:
                transaction.put(key, value)
    with pytest.raises(FormatError, match="holds no records"):
        check_lmdb(tmp_path / "empty")
    with pytest.raises(FormatError, match=r"record key .* is not a Datum"):
        check_lmdb(tmp_path / "foreign")
