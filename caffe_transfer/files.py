"""Files and folders that are either complete or absent: write under a temporary name, then rename.

Temporary names carry the host and the process that wrote them, so that on a shared file system
another host's unfinished work is never mistaken for a leftover.
"""

import fcntl
import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from caffe_transfer.errors import BadInput

_PROCESSES = Path("/proc")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Write a file, or files of a folder, in the block.

    Raises:
        BadInput: the block raises an OSError, as of a full disk.
    """
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for binary writing; it appears, complete, only if the block succeeds.

    Raises:
        BadInput: the folder is not writable, or the disk is full.
    """
    temporary = temporary_path(path)
    remove_leftovers(path)
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "x+b") as file:
                _hold(file.fileno())
                yield cast(BinaryIO, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        with suppress(OSError):  # it is gone after a success, or was never made
            temporary.unlink()


def atomic_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, completely or not at all.

    Raises:
        BadInput: the folder is not writable, or the disk is full.
    """
    with atomic_write(path) as file:
        file.write(text.encode())


def link(path: Path, target: str) -> None:
    """Make `path` a link to `target`, in place of another link.

    Raises:
        BadInput: something else is there, or the folder is not writable.
    """
    if path.is_symlink() and os.readlink(path) == target:
        return
    if path.exists() and not path.is_symlink():
        raise BadInput(f"{path} is in the way of a link to {target}; move it elsewhere")
    temporary = temporary_path(path)
    remove_leftovers(path)
    with writing(path):
        temporary.symlink_to(target)
        temporary.replace(path)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that is renamed to it if the block succeeds.

    Raises:
        BadInput: the folder cannot be made, or the disk is full.
    """
    with scratch_folder(path) as temporary:
        yield temporary
        temporary.replace(path)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that is removed after the block.

    If the process is killed, the next one with the same `path` removes it.

    Raises:
        BadInput: the folder cannot be made, or the disk is full.
    """
    temporary = temporary_path(path)
    remove_leftovers(path)
    try:
        with writing(path):
            temporary.mkdir(parents=True)
            with _held(temporary):
                yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Lock a folder, where its file system has locks, so that others see that it is at work."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _hold(descriptor)
        yield
    finally:
        os.close(descriptor)


def _hold(descriptor: int) -> None:
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_locked(path: Path) -> bool:
    """Whether some process locks a file or folder; False where that cannot be found out.

    Several may ask at once: what is asked with is a shared lock, and what is held is not.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False


def sync(*files: Path) -> None:
    """Wait until files of other programs, and their names, are on the disk.

    Raises:
        OSError: one is not there, or the disk fails.
    """
    for path in dict.fromkeys([*files, *(file.parent for file in files)]):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def unwritable(path: Path, error: OSError) -> BadInput:
    """Return the error for a file or folder that could not be written."""
    return BadInput(
        f"cannot write {path}: {error.strerror or error}; free some space or name another folder"
    )


def temporary_path(path: Path) -> Path:
    """Return an unused name beside `path`, which tells host and process.

    Raises:
        BadInput: it is no name of a file, such as "." or "/".
    """
    if not path.name:
        raise BadInput(f"{path} is a folder; name a file")
    # The random part keeps apart the threads of one process.
    owner = f"{os.urandom(4).hex()}.{os.getpid()}@{host()}"
    return path.with_name(f".{path.name}.{owner}.part")


def remove_leftovers(path: Path) -> None:
    """Remove what processes on this host that were killed have left under `path`'s temporary names.

    Containers may share the name of their host and see each other's files, but not each other's
    processes: what is held is at work, whatever this one sees.
    """
    ours = f"@{glob.escape(host())}.part"
    for found in path.parent.glob(f".{glob.escape(path.name)}.*{ours}"):
        owner = found.name.partition("@")[0].rpartition(".")[2]
        with suppress(OSError):  # it has just become what it is to be
            if _PROCESSES.is_dir() and not (_PROCESSES / owner).exists() and not is_locked(found):
                if found.is_dir() and not found.is_symlink():
                    shutil.rmtree(found, ignore_errors=True)
                else:
                    found.unlink()


def host() -> str:
    """This machine's name; the module socket, which has it too, costs `copy` its start."""
    return os.uname().nodename
