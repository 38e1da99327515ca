"""Databases that were stopped, killed or failed, and the runs that go on with them."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from caffe_transfer import paths
from caffe_transfer.data_prep import decode_pool, lists, lmdb_writer, lmdbs, means
from caffe_transfer.data_prep.conversion import CONVERTING
from caffe_transfer.data_prep.decode import read_image
from caffe_transfer.data_prep.left_out import read_left_out
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.progress import silent, stoppable
from caffe_transfer.data_prep.records import LmdbRecord, read_record
from caffe_transfer.data_prep.stores import Store
from caffe_transfer.data_prep.unfinished import clear_finished
from caffe_transfer.errors import BadInput, Busy, Interrupted
from tests.images import count_reads, write_images
from tests.test_data_lmdbs import records
from tests.test_lock import kill_holder, machine_at_work

SIZE = 16


@pytest.fixture
def images(tmp_path: Path) -> ImageList:
    """Forty images, of which one is broken."""
    return write_images(tmp_path / "images", count=40, broken=3)


@pytest.fixture(autouse=True)
def small_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmdb_writer, "COMMIT_RECORDS", 3)


def write(images: ImageList, folder: Path, name: str, **options: object) -> lmdbs.Written:
    given: dict[str, object] = {"size": SIZE, "shuffle": 1, "summed": True} | options
    return lmdbs.write_lmdb(images, folder / "images", folder / name, **given)  # type: ignore[arg-type]


def stop_late(
    monkeypatch: pytest.MonkeyPatch, images: ImageList, error: Callable[[], BaseException]
) -> None:
    """Let reading fail at the thirtieth of the shuffled images."""
    last = images.shuffled(1).paths[30]

    def failing(store: Store, name: str, size: int | None, gray: bool) -> object:
        if name == last:
            raise error()
        return read_image(store, name, size, gray)

    monkeypatch.setattr(decode_pool, "read_image", failing)


def same_as_whole(images: ImageList, folder: Path, name: str) -> None:
    """Records, mean, record and images left out are those of a run that nothing stopped."""
    write(images, folder, "expected")
    assert records(folder / name) == records(folder / "expected")
    for each in (name, "expected"):
        means.write_mean([folder / each], folder / f"{each}.mean")
    assert (folder / f"{name}.mean").read_bytes() == (folder / "expected.mean").read_bytes()
    ours, theirs = (read_record(folder / each, LmdbRecord) for each in (name, "expected"))
    assert ours is not None
    assert theirs is not None
    assert replace(ours, bytes=theirs.bytes) == theirs
    ours_out, theirs_out = (
        read_left_out(paths.left_out(folder / each)) for each in (name, "expected")
    )
    assert ours_out == theirs_out
    assert not list(folder.glob("*.unfinished*"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_it_goes_on_from_the_last_commit(
    images: ImageList,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    with monkeypatch.context() as failing:
        stop_late(failing, images, error)
        with pytest.raises(error):
            write(images, tmp_path, "db")
    assert not (tmp_path / "db").exists()
    there = len(records(tmp_path / "db.unfinished"))
    assert there >= 24
    with monkeypatch.context() as counted:
        seen = count_reads(counted)
        assert write(images, tmp_path, "db").count == 39
    assert len(seen) == 40 - there
    same_as_whole(images, tmp_path, "db")


def test_a_kill_in_the_middle(images: ImageList, tmp_path: Path) -> None:
    lists.write(images, tmp_path / "list.txt")
    slow = (
        "import sys, time; from pathlib import Path\n"
        "from caffe_transfer.data_prep import conversion, lists, lmdb_writer, lmdbs\n"
        "lmdb_writer.COMMIT_RECORDS = 3\n"
        "make = conversion.datum\n"
        "def datum(*given):\n"
        "    time.sleep(0.05)\n"
        "    return make(*given)\n"
        "conversion.datum = datum\n"
        "def told(step, done, total):\n"
        "    print(done if step == conversion.CONVERTING else 0, flush=True)\n"
        "lmdbs.write_lmdb(lists.read(Path('list.txt')), Path('images'), Path('db'), size=16,\n"
        "    shuffle=1, summed=True, progress=told)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", slow], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while int(process.stdout.readline()) < 15:
        pass
    process.kill()
    process.communicate()
    assert 9 <= len(records(tmp_path / "db.unfinished")) < 39
    write(images, tmp_path, "db")
    same_as_whole(images, tmp_path, "db")


def test_an_event_stops_it(images: ImageList, tmp_path: Path) -> None:
    stop = threading.Event()

    def progress(step: str, done: int, _total: int) -> None:
        if step == CONVERTING and done == 40:
            stop.set()

    with pytest.raises(Interrupted, match=r"stopped at converting images, 40 of 40; run the same"):
        write(images, tmp_path, "db", progress=stoppable(progress, stop))
    stop.clear()
    write(images, tmp_path, "db", progress=stoppable(silent, stop))
    same_as_whole(images, tmp_path, "db")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_command_within_two_seconds(tmp_path: Path, number: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images/a.jpg"), image)
    (tmp_path / "list.txt").write_text("a.jpg 0\n" * 20_000)
    command = subprocess.Popen(
        [sys.executable, "-m", "caffe_transfer", "data", "lmdb", "list.txt", "images", "db",
         "--size", "64"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not (tmp_path / "db.unfinished/data.mdb").exists():
        time.sleep(0.05)
    time.sleep(0.5)
    start = time.monotonic()
    command.send_signal(number)
    _, said = command.communicate(timeout=20)
    assert time.monotonic() - start < 2
    assert command.returncode == 130
    assert "stopped at converting images" in said
    assert "of 20000; run the same command again to go on" in said


def test_mended_images_find_their_place(
    images: ImageList, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match=r"is to hold every image, but .* mend them"):
        write(images, tmp_path, "db", strict=True)
    with pytest.raises(BadInput, match=r"is to hold every image, but .* mend them"):
        write(images, tmp_path, "db", strict=True)
    cv2.imwrite(str(tmp_path / "images" / images.paths[3]), np.zeros((24, 20, 3), np.uint8))
    with monkeypatch.context() as counted:
        seen = count_reads(counted)
        assert write(images, tmp_path, "db", strict=True).count == 40
    assert seen == [images.paths[3]]
    same_as_whole(images, tmp_path, "db")


@pytest.mark.parametrize("change", ["images", "size", "shuffle", "folder"])
def test_another_job_begins_anew(
    images: ImageList, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    with monkeypatch.context() as failing:
        stop_late(failing, images, MemoryError)
        with pytest.raises(MemoryError):
            write(images, tmp_path, "db")
    match change:
        case "images":
            images = replace(images, labels=tuple(label + 1 for label in images.labels))
            written = write(images, tmp_path, "db")
        case "size":
            written = write(images, tmp_path, "db", size=8)
        case "shuffle":
            written = write(images, tmp_path, "db", shuffle=None)
        case _:
            (tmp_path / "moved").mkdir()
            (tmp_path / "images").rename(tmp_path / "moved/images")
            written = lmdbs.write_lmdb(
                images, tmp_path / "moved/images", tmp_path / "db", size=SIZE, shuffle=1
            )
    assert written.count == len(records(tmp_path / "db")) == 39
    assert not list(tmp_path.glob("*.unfinished*"))


def test_a_full_disk_keeps_what_was_written(
    images: ImageList, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        commits, statvfs = iter(range(1000)), os.statvfs

        def filling(path: str) -> os.statvfs_result:
            found = list(statvfs(path))
            found[4] = 0 if next(commits) == 3 else found[4]
            return os.statvfs_result(found)

        full.setattr(os, "statvfs", filling)
        with pytest.raises(BadInput, match=r"cannot write .*db: No space left on device; free"):
            write(images, tmp_path, "db")
    assert len(records(tmp_path / "db.unfinished")) == 9
    write(images, tmp_path, "db")
    same_as_whole(images, tmp_path, "db")


class TestOthers:
    """Processes that may be at work on the same database."""

    def lock(self, folder: Path, text: str, age: float) -> Path:
        lock = folder / "db.unfinished.lock"
        lock.write_text(text)
        then = time.time() - age
        os.utime(lock, (then, then))
        return lock

    def test_here(self, images: ImageList, tmp_path: Path) -> None:
        def second(step: str, _done: int, _total: int) -> None:
            if step != CONVERTING:
                return
            with pytest.raises(Busy, match="another process works in"):
                write(images, tmp_path, "db")

        assert write(images, tmp_path, "db", progress=second).count == 39

    def test_on_another_machine(self, images: ImageList, tmp_path: Path) -> None:
        lock = self.lock(tmp_path, "far\t17\n", age=10)
        message = r"another process works in .* \(process 17 on far since"
        with machine_at_work(lock, "far"), pytest.raises(Busy, match=message):
            write(images, tmp_path, "db")
        assert lock.read_text() == "far\t17\n"

    @pytest.mark.parametrize("age", [1, 1e8, -1e8])
    @pytest.mark.parametrize("text", ["", "far\t17\n", f"{os.uname().nodename}\t17\n"])
    def test_that_have_ended(
        self, images: ImageList, tmp_path: Path, text: str, age: float
    ) -> None:
        """Whatever time the lock's file bears: clocks differ and jump."""
        self.lock(tmp_path, text, age)
        assert write(images, tmp_path, "db").count == 39
        assert not (tmp_path / "db.unfinished.lock").exists()


@pytest.mark.parametrize(
    "left", ["db.unfinished.lock", "db.unfinished.lock.held", "db.unfinished.json"]
)
def test_what_one_killed_at_the_very_end_has_left_goes(
    left: str, images: ImageList, tmp_path: Path
) -> None:
    write(images, tmp_path, "db")
    before = sorted(tmp_path.iterdir())
    if left.endswith(".json"):
        (tmp_path / left).touch()
    else:
        kill_holder(tmp_path / "db.unfinished.lock")
    if left.endswith(".held"):
        (tmp_path / "db.unfinished.lock").unlink()
    clear_finished(tmp_path / "db")
    assert sorted(tmp_path.iterdir()) == before
    (tmp_path / "view.unfinished").mkdir()
    (tmp_path / "view.unfinished.json").touch()
    clear_finished(tmp_path / "view")  # of which a copy grows
    assert (tmp_path / "view.unfinished.json").exists()
