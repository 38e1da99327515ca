"""The boundary of all readers: what a broken file makes other libraries raise becomes an error of
ours, which names the file."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from caffe_transfer.errors import BadInput, CaffeTransferError, FormatError, Incomplete, shortened

_OPENED_BY_THE_SHELL = ("/dev/fd/", "/dev/null", "/dev/stdin", "/proc/")


@contextmanager
def reading(
    path: Path | str, kind: str, remedy: str, *, missing: str = "check the name"
) -> Iterator[None]:
    """Read a file in the block.

    Args:
        kind: what the file should be, to follow "is not".
        remedy: what to do if it is something else, or damaged.
        missing: what to do if it is not there.

    Raises:
        Incomplete: it is not there.
        BadInput: it cannot be read, or is a pipe or a device.
        FormatError: whatever else a library raises in the block.
    """
    refuse_endless(path)
    try:
        yield
    except CaffeTransferError:
        raise
    except FileNotFoundError as error:
        raise Incomplete(f"there is no file {path}; {missing}") from error
    except MemoryError as error:
        raise FormatError(f"{path} asks for more memory than there is; {remedy}") from error
    except Exception as error:
        # Some libraries raise an OSError of their own making for what a file holds.
        if isinstance(error, OSError) and error.errno is not None:
            raise BadInput(f"cannot read {path}: {error.strerror}; {remedy}") from error
        raise FormatError(f"{path} is not {kind}: {reason_of(error)}; {remedy}") from error


def refuse_endless(path: Path | str) -> None:
    """Refuse what would be waited for or read for ever, unless the shell has opened it.

    Raises:
        BadInput: it is a named pipe, a socket or a device.
    """
    if str(path).startswith(_OPENED_BY_THE_SHELL):
        return
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # whoever reads it says so
        return
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode):
        raise BadInput(f"{path} is a pipe or a device; name a file")


def reason_of(error: Exception) -> str:
    """What a library says is wrong, in a few words."""
    said = str(error)
    match error:
        case KeyError() if error.args:  # it shows its key in quotes, whatever it is
            said = str(error.args[0])
        case UnicodeDecodeError():
            return "not all of its text is UTF-8"
        case RecursionError():
            return "it has lists in lists, or the like, too deep"
        case ValueError() if "set_int_max_str_digits" in said:  # Python's advice is for programs
            return "a number in it has thousands of digits"
    return shortened(said.strip().removesuffix(".") or type(error).__name__)
