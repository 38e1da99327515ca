"""One process at a time in a folder."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from caffe_transfer.errors import BadInput, Busy
from caffe_transfer.files import is_locked
from caffe_transfer.lock import locked

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
    with pytest.raises(Busy, match=r"another process works in .*folder; wait"), locked(path):
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
