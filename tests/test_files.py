"""Files that are whole or not there."""

import errno
import os
import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.errors import BadInput
from caffe_transfer.files import (
    atomic_folder,
    atomic_text,
    atomic_write,
    link,
    scratch_folder,
    writing,
)


class Stop(Exception):
    pass


def write_and_stop(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)
        raise Stop


def fill_and_stop(path: Path) -> None:
    with atomic_folder(path) as folder:
        (folder / "file").touch()
        raise Stop


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_an_interrupted_write_leaves_the_old_file(
    tmp_path_factory: pytest.TempPathFactory, old: bytes, new: bytes
) -> None:
    path = tmp_path_factory.mktemp("files") / "file"
    path.write_bytes(old)
    with pytest.raises(Stop):
        write_and_stop(path, new)
    assert path.read_bytes() == old
    with atomic_write(path) as file:
        file.write(new)
    assert path.read_bytes() == new
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_permissions_are_the_users(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic_text(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_the_process_wide_umask_is_never_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Setting it, if only to read it, would bare the files that another thread creates."""

    def touched(_mask: int) -> int:
        pytest.fail("the umask was set")

    monkeypatch.setattr(os, "umask", touched)
    atomic_text(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"


def test_threads_that_write_one_file_leave_one_of_their_texts(tmp_path: Path) -> None:
    path, texts = tmp_path / "file", [str(number) * 1000 for number in range(8)]
    threads = [threading.Thread(target=atomic_text, args=(path, text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [path]


def test_unfinished_folders_of_others_stay(tmp_path: Path) -> None:
    others = {
        ".folder.0.99999999@another-host.part",  # may be alive there
        f".folder.0.{os.getpid()}@{socket.gethostname()}.part",
    }
    for name in others:
        (tmp_path / name).mkdir()
    with atomic_folder(tmp_path / "folder"):
        pass
    assert {each.name for each in tmp_path.iterdir()} == {*others, "folder"}


def test_a_folder_at_work_in_another_container_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which has this host's name, and a process that is not seen here."""
    monkeypatch.setattr(os, "getpid", lambda: 99999999)
    with atomic_folder(tmp_path / "folder") as theirs:
        with atomic_folder(tmp_path / "folder"):
            pass
        assert theirs.is_dir()
        (tmp_path / "folder").rmdir()
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_folders_appear_whole(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        fill_and_stop(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []
    leftover = tmp_path / f".folder.0.99999999@{socket.gethostname()}.part"
    leftover.mkdir()  # of a process that was killed
    with atomic_folder(tmp_path / "folder") as folder:
        (folder / "file").touch()
        assert not (tmp_path / "folder").exists()
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]
    assert (tmp_path / "folder/file").exists()


def test_what_killed_processes_have_left_of_a_file_or_a_link_goes(tmp_path: Path) -> None:
    for name in ("file", "link"):
        (tmp_path / f".{name}.0.99999999@{socket.gethostname()}.part").write_bytes(b"half")
    (tmp_path / f".link.1.99999999@{socket.gethostname()}.part").symlink_to("nowhere")
    atomic_text(tmp_path / "file", "whole")
    link(tmp_path / "link", "file")
    assert {each.name for each in tmp_path.iterdir()} == {"file", "link"}


def test_a_file_at_work_in_another_container_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 99999999)
    with atomic_write(tmp_path / "file") as theirs:
        theirs.write(b"theirs")
        atomic_text(tmp_path / "file", "ours")
    assert (tmp_path / "file").read_text() == "theirs"


def test_scratch_folders_go(tmp_path: Path) -> None:
    leftover = tmp_path / f".scratch.0.99999999@{socket.gethostname()}.part"
    leftover.mkdir()
    with scratch_folder(tmp_path / "scratch") as folder:
        (folder / "file").touch()
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match=r"cannot write .*file/x: .*; free some space or name"):
        atomic_text(tmp_path / "file/x", "text")
    with pytest.raises(BadInput, match=r"cannot write .*: File name too long"):
        atomic_text(tmp_path / ("x" * 255), "text")
    with (
        pytest.raises(BadInput, match=r"cannot write .*file/x"),
        atomic_folder(tmp_path / "file/x"),
    ):
        pass


def test_no_space_left(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No space left on device"), atomic_write(tmp_path / "f"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EDQUOT])
def test_what_cannot_be_written_is_one_sentence(number: int) -> None:
    with (
        pytest.raises(BadInput, match=rf"cannot write runs/x: {os.strerror(number)}; free some"),
        writing(Path("runs/x")),
    ):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("path", [".", "/", ".."])
def test_a_file_needs_a_name(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if path == "..":  # it is one to pathlib, and in the way
        with pytest.raises(BadInput, match="cannot write"):
            atomic_text(Path(path), "x")
        return
    with pytest.raises(BadInput, match="is a folder; name a file"):
        atomic_text(Path(path), "x")
    assert not list(tmp_path.iterdir())
