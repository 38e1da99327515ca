"""The boundary of readers: only the library's own errors leave it."""

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest
from google.protobuf.message import DecodeError

from caffe_transfer.errors import BadInput, Busy, CaffeTransferError, FormatError, Incomplete
from caffe_transfer.reading import reading, refuse_endless

PATH = Path("folder/x.bin")


def raised(error: Exception) -> CaffeTransferError:
    with pytest.raises(CaffeTransferError) as found, reading(PATH, "a net", "correct it"):
        raise error
    return found.value


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Unable to get link info."), TypeError("no"), OverflowError("too large"),
        NotImplementedError("compression type 9"), zlib.error("Error -3"), lmdb.Error("mdb_get"),
        DecodeError("Wrong wire type"), OSError("truncated file"),
        json.JSONDecodeError("Extra data", "1 2", 2),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_what_libraries_raise_is_a_format_error(error: Exception) -> None:
    found = raised(error)
    reason = str(error).removesuffix(".")
    assert type(found) is FormatError
    assert str(found) == f"folder/x.bin is not a net: {reason}; correct it"
    assert found.__cause__ is error


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (lambda: b"caf\xe9".decode(), "not all of its text is UTF-8"),
        (lambda: json.loads("[" * 100_000), "it has lists in lists, or the like, too deep"),
        (lambda: json.loads("9" * 5000), "a number in it has thousands of digits"),
    ],
)
def test_what_python_tells_programmers_is_told_to_users(
    read: Callable[[], object], reason: str
) -> None:
    with (
        pytest.raises(FormatError, match=f"is not a net: {reason}; correct it"),
        reading(PATH, "a net", "correct it"),
    ):
        read()


def test_the_reason_is_never_empty_or_long() -> None:
    assert str(raised(EOFError())) == "folder/x.bin is not a net: EOFError; correct it"
    assert str(raised(KeyError("data"))) == "folder/x.bin is not a net: data; correct it"
    assert len(str(raised(ValueError("a b " * 5000)))) < 250


def test_files_that_are_missing_or_unreadable() -> None:
    missing = raised(FileNotFoundError(2, "No such file"))
    assert type(missing) is Incomplete
    assert str(missing) == "there is no file folder/x.bin; check the name"
    found = raised(PermissionError(13, "Permission denied"))
    assert type(found) is BadInput
    assert str(found) == "cannot read folder/x.bin: Permission denied; correct it"


def test_too_little_memory() -> None:
    assert str(raised(MemoryError())) == (
        "folder/x.bin asks for more memory than there is; correct it"
    )


def test_own_errors_and_signals_pass() -> None:
    own = Busy("somebody else is at it")
    assert raised(own) is own
    with pytest.raises(KeyboardInterrupt), reading(PATH, "a net", "correct it"):
        raise KeyboardInterrupt


def test_what_would_be_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "x.bin"
    os.mkfifo(pipe)
    with (
        pytest.raises(BadInput, match=r"x\.bin is a pipe or a device; name a file"),
        reading(pipe, "a net", "correct it"),
    ):
        pipe.read_bytes()
    with pytest.raises(BadInput, match="/dev/zero is a pipe or a device"):
        refuse_endless("/dev/zero")


def test_what_the_shell_has_opened_is_read(tmp_path: Path) -> None:
    """As of `caffe-transfer inspect <(zcat net.prototxt.gz)`."""
    reader, writer = os.pipe()
    os.write(writer, b"text")
    os.close(writer)
    path = Path(f"/dev/fd/{reader}")
    with reading(path, "a net", "correct it"):
        assert path.read_bytes() == b"text"
    os.close(reader)
    for harmless in ("/dev/null", tmp_path, tmp_path / "none", "a\0b", "a" * 5000):
        refuse_endless(harmless)
