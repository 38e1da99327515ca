"""Databases that come and go, and what a kill leaves of them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest

from caffe_transfer import paths
from caffe_transfer.data_prep import removable
from caffe_transfer.data_prep.copies import write_copy
from caffe_transfer.data_prep.databases import is_made
from caffe_transfer.data_prep.plan import data_sets
from caffe_transfer.data_prep.prepare import prepare
from caffe_transfer.data_prep.progress import OnStep, silent
from caffe_transfer.data_prep.removable import (
    is_removable,
    left_by_earlier_runs,
    remove_database,
    sizes_of,
)
from caffe_transfer.errors import Interrupted
from caffe_transfer.formats.lmdb import count
from caffe_transfer.formats.views import is_view
from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.study import Study
from tests.small_study import write_study

HALF = "half0A_train"


def make_database(path: Path, progress: OnStep = silent) -> None:
    write_copy(path, path, progress)


class Killed(BaseException):
    """What ends a process in the middle of a step; nothing after it is done."""


@pytest.fixture
def run(tmp_path: Path) -> tuple[RunFolder, Study]:
    """A run whose halves are views."""
    study = load_study(str(write_study(tmp_path)))
    folder = RunFolder(tmp_path / "run")
    prepare(study, folder, tmp_path / "given", views=True)
    return folder, study


def stored(path: Path) -> list[tuple[bytes, bytes]]:
    with lmdb.open(str(path), readonly=True, lock=False) as env, env.begin() as transaction:
        return list(transaction.cursor())


def state(path: Path) -> dict[str, bytes]:
    return {
        str(each.relative_to(path.parent)): each.read_bytes()
        for each in path.parent.rglob("*")
        if each.is_file()
    }


def test_there_and_back(run: tuple[RunFolder, Study], tmp_path: Path) -> None:
    folder, study = run
    path = folder.data.lmdb(HALF)
    before = state(path)
    write_copy(path, tmp_path / "copy")
    make_database(path)
    assert stored(path) == stored(tmp_path / "copy")
    assert is_made(HALF, study.images, folder.data)
    assert is_removable(path)
    remove_database(path)
    assert state(path) == before
    assert is_made(HALF, study.images, folder.data)
    remove_database(path)  # there is none
    assert state(path) == before


def test_sizes(run: tuple[RunFolder, Study]) -> None:
    folder, study = run
    sets = data_sets(study)
    before = sizes_of(sets, folder.data)
    whole = [folder.data.lmdb(f"whole_{part}") / paths.LMDB_DATA for part in ("train", "valid")]
    assert before.kept == sum(path.stat().st_size for path in whole)
    halves = {f"half0{side}_{part}" for side in "AB" for part in ("train", "valid")}
    assert set(before.taken) == halves
    for name in halves:
        make_database(folder.data.lmdb(name))
        assert (folder.data.lmdb(name) / paths.LMDB_DATA).stat().st_size <= before.taken[name]
    assert sizes_of(sets, folder.data) == before


@pytest.mark.parametrize("spoil", ["no view", "damaged view", "other database", "other whole"])
def test_what_cannot_be_made_again_is_never_removed(
    run: tuple[RunFolder, Study], tmp_path: Path, spoil: str
) -> None:
    folder, _ = run
    path, whole = folder.data.lmdb(HALF), folder.data.lmdb("whole_train")
    make_database(path)
    if spoil == "no view":
        shutil.rmtree(paths.kept_view(path))
    elif spoil == "damaged view":
        (paths.kept_view(path) / paths.VIEW_RECORDS).write_bytes(b"")
    elif spoil == "other database":
        shutil.rmtree(path)
        shutil.copytree(whole, path)
    else:
        shutil.rmtree(whole)
        shutil.copytree(path, whole)
    assert not is_removable(path)
    before = stored(path)
    remove_database(path)
    assert stored(path) == before
    assert HALF not in sizes_of([HALF], folder.data).taken
    assert left_by_earlier_runs([HALF], folder.data) == []


def test_a_link_to_the_whole_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    (tmp_path / "whole").mkdir()
    (tmp_path / "half/lmdb").symlink_to("../whole")
    assert not is_removable(tmp_path / "half/lmdb")


def _kill_at(name: str, times: int) -> Callable[[pytest.MonkeyPatch], None]:
    """Let the n-th call of a function of the module end the process before it does anything."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        owner, _, function = name.rpartition(".")
        target = removable if not owner else {"Path": Path, "shutil": shutil}[owner]
        real, calls = getattr(target, function), [0]

        def killed(*args: object, **options: object) -> object:
            calls[0] += 1
            if calls[0] == times:
                raise Killed
            return real(*args, **options)

        monkeypatch.setattr(target, function, killed)

    return patch


@pytest.mark.parametrize(
    ("function", "times"),
    [("Path.replace", 1), ("write_record", 1), ("Path.replace", 2), ("Path.replace", 3),
     ("shutil.rmtree", 1)],
)  # fmt: skip
def test_a_kill_while_it_is_removed(
    run: tuple[RunFolder, Study],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    times: int,
) -> None:
    folder, study = run
    path = folder.data.lmdb(HALF)
    make_database(path)
    expected = stored(path)
    with monkeypatch.context() as patched:
        _kill_at(function, times)(patched)
        with pytest.raises(Killed):
            remove_database(path)
    # As if the process were gone, whose temporary names these are.
    for left in path.parent.glob(".*.part"):
        left.rename(left.with_name(left.name.replace(f".{os.getpid()}@", ".999999999@")))
    prepare(study, folder, tmp_path / "given", views=True)
    left_by_earlier_runs([HALF], folder.data)
    assert list(path.parent.glob(".*.part")) == []
    assert is_made(HALF, study.images, folder.data)
    if is_view(path):
        make_database(path)
    assert stored(path) == expected
    remove_database(path)
    assert is_view(path)
    assert count(path) == len(expected)


def test_a_stopped_copy_is_known_and_can_be_removed(
    run: tuple[RunFolder, Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = run
    path = folder.data.lmdb(HALF)
    before = state(path)
    monkeypatch.setattr("caffe_transfer.data_prep.lmdb_writer.COMMIT_RECORDS", 3)
    monkeypatch.setattr("caffe_transfer.data_prep.copies.paced", lambda progress: progress)

    def stop(_step: str, done: int, _total: int) -> None:
        if done == 5:
            raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        make_database(path, stop)
    assert left_by_earlier_runs([HALF], folder.data) == [HALF]
    remove_database(path)
    assert left_by_earlier_runs([HALF], folder.data) == []
    assert {name: text for name, text in state(path).items() if "view/" not in name} == before
