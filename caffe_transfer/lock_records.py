"""Records of who holds a lock, for machines that do not see each other's kernel locks.

lock.held        the record of the first holder: made only where there is none (O_EXCL), so that of
                 several processes, on whatever machines, one makes it
lock.after-NAME  the record of who took the lock from the holder NAME, which was dead; made in the
                 same way.  So there is one heir at most, and each heir may have one of its own

The holder is the last of this chain.  Names are random and never used again.  A process that was so
slow that it makes a record that is not in the chain removes it and starts anew.
"""

import json
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from caffe_transfer import files, paths

_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass
class Record:
    """Who holds a lock.

    Attributes:
        host, boot: the machine's name, and a number that each start of a system has of its own:
            machines may share a name, and copies of one that sleeps may share a number.
        process: its number there.
        since: when it took the lock, for users.
        name: a random one.
        beats: how often the record was rewritten.
    """

    host: str
    boot: str
    process: int
    since: str
    name: str
    beats: int = 0

    @property
    def is_of_this_machine(self) -> bool:
        """Whether this machine's kernel knows whether the holder lives."""
        return (self.host, self.boot) == machine()

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} since {self.since}"

    def rewrite(self, lock: Path) -> bool:
        """Show that the holder lives; returns whether it is the holder still.

        Raises:
            OSError: the file system fails.
        """
        mine = next((each.path for each in records(lock) if each.record.name == self.name), None)
        if mine is None or paths.lock_heir(lock, self.name).exists():
            return False
        self.beats += 1
        descriptor = os.open(mine, os.O_WRONLY)
        try:
            _write(descriptor, self)
        finally:
            os.close(descriptor)
        return True


@dataclass(frozen=True)
class RecordFile:
    """A record and where it lies."""

    path: Path
    record: Record

    def content(self) -> tuple[bytes, int] | None:
        """The file's bytes and the time that it bears; None if it is gone."""
        try:
            return self.path.read_bytes(), self.path.stat().st_mtime_ns
        except OSError:
            return None


def machine() -> tuple[str, str]:
    """This machine's name, and the number of its system's start."""
    boot = ""
    with suppress(OSError):
        boot = _BOOT.read_text().strip()
    return files.host(), boot


def records(lock: Path) -> list[RecordFile]:
    """The chain of a lock's records; the last is the holder's, and none is there if it is free.

    Raises:
        OSError: the file system fails.
    """
    chain: list[RecordFile] = []
    path = paths.lock_record(lock)
    while (record := _read(path)) is not None:
        chain.append(RecordFile(path, record))
        path = paths.lock_heir(lock, record.name)
    return chain


def claim(lock: Path, before: Sequence[RecordFile]) -> Record | None:
    """Become the holder after a chain's last, who is dead; None if another was faster.

    Raises:
        OSError: the file system fails.
    """
    host, boot = machine()
    since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    mine = Record(host, boot, os.getpid(), since, secrets.token_hex(8))
    last = before[-1].record.name if before else None
    path = paths.lock_heir(lock, last) if last else paths.lock_record(lock)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return None
    try:
        _write(descriptor, mine)
    except OSError:  # the disk is full: an empty record would pass for one of another machine
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    chain = records(lock)
    if chain and chain[-1].record.name == mine.name:
        return mine
    path.unlink(missing_ok=True)
    return None


def release(lock: Path, mine: Record) -> None:
    """Remove the chain of which this process is the last, its beginning first: then it is free."""
    with suppress(OSError):  # what stays is a dead holder's
        chain = records(lock)
        if chain and chain[-1].record.name == mine.name:
            for each in chain:
                each.path.unlink(missing_ok=True)


def _read(path: Path) -> Record | None:
    """A record; None if the file is not there.

    One that was not written to its end gets a name from the file, the same for all who read it.
    """
    try:
        state, text = path.stat(), path.read_text(errors="replace")
    except FileNotFoundError:
        return None
    try:
        return Record(**json.loads(text))
    except (ValueError, TypeError):
        name = f"{state.st_ino:x}-{state.st_mtime_ns:x}"
        return Record("an unknown machine", "", 0, "an unknown time", name)


def _write(descriptor: int, record: Record) -> None:
    """One line of a length that does not change: whoever reads sees the old one or the new one."""
    os.pwrite(descriptor, f"{json.dumps(vars(record)):<400}\n".encode(), 0)
    os.fsync(descriptor)
