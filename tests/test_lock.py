"""One process at a time in a folder, on one machine and on several."""

import errno
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from caffe_transfer import lock, lock_records
from caffe_transfer.errors import BadInput, Busy, Interrupted
from caffe_transfer.files import is_locked
from caffe_transfer.lock import is_held, locked
from caffe_transfer.lock_records import Record, records, release
from caffe_transfer.paths import lock_record

BUSY = (
    r"another process works in .*folder \(process \d+ on .+ since 20.+ UTC\); wait for it or stop"
)
HOLD = """
import sys; from pathlib import Path; from caffe_transfer.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True); sys.stdin.read()
"""


def test_another_process_is_kept_out_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    assert not is_locked(path)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    assert is_locked(path)
    with pytest.raises(Busy, match=BUSY), locked(path):
        pass
    holder.kill()
    holder.communicate()
    assert not is_locked(path)
    with locked(path):
        assert is_locked(path)
    assert not is_locked(path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot write"), locked(tmp_path / "file" / "lock"):
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "network" / "lock"
    path.parent.mkdir()
    path.touch()
    monkeypatch.setattr(fcntl, "flock", refuse)
    message = r"the file system of .*network does not support locks \(.+\); mount it with flock, or"
    with pytest.raises(BadInput, match=message), locked(path):
        pass
    assert not is_locked(path)


def test_what_goes_wrong_inside_is_not_taken_for_a_lock(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), locked(tmp_path / "lock"):
        raise BlockingIOError


def test_nothing_is_left_beside_the_lock_file(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"):
        assert {path.name for path in tmp_path.iterdir()} == {"lock", "lock.held"}
    assert {path.name for path in tmp_path.iterdir()} == {"lock"}


def test_a_record_that_cannot_be_written_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty one would pass for that of another machine, and keep this one out for minutes."""

    def full(descriptor: int, record: Record) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(lock_records, "_write", full)
        with pytest.raises(BadInput, match=r"cannot write .*lock: No space left"):
            locked(tmp_path / "lock").__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    with locked(tmp_path / "lock"):
        pass


def test_a_killed_holder_of_this_machine_is_known_at_once(tmp_path: Path) -> None:
    for _ in range(2):
        kill_holder(tmp_path / "lock")
    with locked(tmp_path / "lock"):
        assert len(list(tmp_path.iterdir())) == 4
    assert {path.name for path in tmp_path.iterdir()} == {"lock"}


def kill_holder(path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    holder.kill()
    holder.communicate()


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times that a test can wait for."""
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(lock, "LEASE_SECONDS", 0.3)
    monkeypatch.setattr(lock, "SILENCE_SECONDS", 0.6)


def record_of(path: Path, host: str, name: str = "first") -> Record:
    """Write the record of a holder on another machine."""
    record = Record(host, "boot", 17, "2026-11-27 09:20:00 UTC", name)
    lock_record(path).write_text(json.dumps(vars(record)))
    return record


@contextmanager
def machine_at_work(path: Path, host: str = "node7") -> Iterator[None]:
    """Another machine, which holds the lock `path` inside the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    record, over = record_of(path, host), threading.Event()

    def beat() -> None:
        while not over.wait(0.05):
            assert record.rewrite(path)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.usefixtures("fast")
class TestOtherMachines:
    def test_one_that_is_silent_is_dead(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        record_of(path, "node7")
        began = time.monotonic()
        with locked(path):
            assert time.monotonic() - began >= 0.6
            assert (tmp_path / "lock.after-first").exists()
        assert {path.name for path in tmp_path.iterdir()} == {"lock"}

    def test_one_that_beats_is_alive(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        message = (
            f"another process works in {tmp_path} (process 17 on node7 since 2026-11-27 09:20:00 "
            "UTC); wait for it or stop it first"
        )
        with machine_at_work(path), pytest.raises(Busy, match=re.escape(message)), locked(path):
            pass

    def test_one_whose_work_goes_on_is_alive(self, tmp_path: Path) -> None:
        """Its process is stopped, by Ctrl-Z say, and its engine is not."""
        path, logs = tmp_path / "run" / "lock", tmp_path / "logs"
        logs.mkdir()
        path.parent.mkdir()
        record_of(path, "node7")
        log = logs / "train.log"
        log.touch()
        threading.Timer(0.2, lambda: log.write_text("Iteration 20")).start()
        with pytest.raises(Busy, match="process 17 on node7"), locked(path, [logs]):
            pass

    def test_one_that_ends_meanwhile(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        record = record_of(path, "node7")
        threading.Timer(0.1, lambda: release(path, record)).start()
        began = time.monotonic()
        with locked(path):
            assert time.monotonic() - began < 0.6

    def test_a_wish_to_stop_ends_the_watch(self, tmp_path: Path) -> None:
        stop = threading.Event()
        threading.Timer(0.1, stop.set).start()
        record_of(tmp_path / "lock", "node7")
        with (
            pytest.raises(Interrupted, match="process 17 on node7"),
            locked(tmp_path / "lock", stop=stop),
        ):
            pass

    @pytest.mark.parametrize("text", ["", "{", '{"host": "node7"}'])
    def test_a_record_that_was_cut_off(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "lock"
        path.with_name("lock.held").write_text(text)
        with locked(path):
            assert len(list(tmp_path.glob("lock.after-*"))) == 1

    def test_this_machine_after_a_new_start_is_another(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        record_of(path, os.uname().nodename)
        began = time.monotonic()
        with locked(path):
            assert time.monotonic() - began >= 0.6

    def test_a_holder_that_was_taken_for_dead_ends_its_work(self, tmp_path: Path) -> None:
        path, ended = tmp_path / "lock", threading.Event()
        with locked(path) as held:
            mine = records(path)[-1].record
            heir = Record("node7", "boot", 18, "2026-11-27 09:21:00 UTC", "second")
            path.with_name(f"lock.after-{mine.name}").write_text(json.dumps(vars(heir)))
            with pytest.raises(Busy, match="another machine may work there"), held.guard(ended.set):
                ended.wait(5)
            assert ended.is_set()
            assert held.is_lost()
        assert [each.record.name for each in records(path)] == [mine.name, "second"]

    def test_a_holder_whose_file_system_hangs_ends_its_work(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise OSError(errno.EIO, "it hangs")

        ended = threading.Event()
        with locked(tmp_path / "lock") as held:
            monkeypatch.setattr(lock_records, "_write", fail)
            began = time.monotonic()
            with pytest.raises(Busy, match="did not answer for too long"), held.guard(ended.set):
                ended.wait(5)
            assert ended.is_set()
            assert time.monotonic() - began < 0.6  # before it counts as dead
        assert (tmp_path / "lock.held").exists()  # it may be another's by now

    def test_what_status_says(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        assert not is_held(path)
        record_of(path, "node7")
        assert is_held(path)
        os.utime(path.with_name("lock.held"), (1, 1))
        assert not is_held(path)
        release(path, records(path)[-1].record)
        with locked(path):
            assert is_held(path)
        kill_holder(path)
        assert not is_held(path)


WORKER = """
import fcntl, os, random, sys, threading, time
from pathlib import Path
from caffe_transfer import lock, lock_records
from caffe_transfer.errors import Busy
folder, host, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
chance = random.Random(seed)
lock.BEAT_SECONDS, lock.LEASE_SECONDS, lock.SILENCE_SECONDS = 0.05, 1.0, 2.5
lock_records.machine = lambda: (host, "boot")
flock, clock = fcntl.flock, time.time

def flock_of_this_host(descriptor, operation):
    shadow = os.open(folder / f"kernel of {host}", os.O_RDWR | os.O_CREAT)
    flock(shadow, operation)  # held until the process ends, or the worker closes it
    shadows.append(shadow)

shadows = []
fcntl.flock = flock_of_this_host
time.time = lambda: clock() + chance.uniform(-1e6, 1e6)
end = time.monotonic() + 12
while time.monotonic() < end:
    try:
        # If the lock is lost, the work ends: here the process, by the alarm's default action.
        with lock.locked(folder / "lock") as held, held.guard(lambda: os.kill(os.getpid(), 14)):
            witness = os.open(folder / "witness", os.O_RDWR | os.O_CREAT)
            try:
                flock(witness, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                sys.exit("two at once")
            print(host, flush=True)
            time.sleep(chance.uniform(0, 0.05))
            if chance.random() < 0.1:
                os.kill(os.getpid(), 9)
            os.close(witness)
    except Busy:
        time.sleep(0.01)
    while shadows:
        os.close(shadows.pop())
"""


def test_many_processes_on_machines_with_clocks_that_jump(tmp_path: Path) -> None:
    """Kernel locks end at each machine's border, and processes are killed with the lock."""
    workers = []
    for number in range(6):
        argv = [sys.executable, "-c", WORKER, str(tmp_path), f"node{number % 3}", str(number)]
        workers.append(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True))
    told = [worker.communicate()[0].split("\n")[:-1] for worker in workers]
    hosts = {host for lines in told for host in lines}
    assert hosts == {"node0", "node1", "node2"}
    assert sum(map(len, told)) > 20
    assert {worker.returncode for worker in workers} <= {0, -signal.SIGKILL, -signal.SIGALRM}


def test_who_asks_whether_it_is_held_keeps_nobody_out(tmp_path: Path) -> None:
    """The question takes a shared lock for a moment, which is long on a slow file system."""
    path = tmp_path / "lock"
    path.touch()
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        threading.Timer(0.3, fcntl.flock, (file, fcntl.LOCK_UN)).start()
        with locked(path):
            assert is_locked(path)
