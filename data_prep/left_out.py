"""Images that are left out: why, how they are listed in files, and how a message tells of them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from caffe_transfer.data_prep.names import shown
from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_write
from caffe_transfer.reading import reading

SHOWN_PROBLEMS = 10


class Fault(StrEnum):
    """Why a file is left out; each follows a number in a message."""

    EMPTY = "empty"
    NOT_AN_IMAGE = "not an image"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    ANIMATED = "animated"
    TOO_LARGE = "too large"
    UNREADABLE = "unreadable"
    OTHER_ENDING = "without an image's ending"
    LINE_BREAK = "with a line break in the name"
    OUTSIDE = "outside the folders of the classes"


@dataclass(frozen=True)
class LeftOut:
    """A file that is left out."""

    path: str
    fault: Fault


def reasons(files: Sequence[LeftOut]) -> str:
    """ "3 truncated (first: cat/1.jpg), 1 empty (dog/2.jpg)", the most frequent first."""
    by_fault: dict[Fault, list[str]] = {}
    for each in files:
        by_fault.setdefault(each.fault, []).append(each.path)
    return ", ".join(
        f"{len(names)} {fault} ({'first: ' if len(names) > 1 else ''}{shown(names[0])})"
        for fault, names in sorted(by_fault.items(), key=lambda item: -len(item[1]))
    )


def summary(files: Sequence[LeftOut]) -> str:
    """How many files were left out, and why, as half a sentence."""
    count = "1 file was" if len(files) == 1 else f"{len(files)} files were"
    return f"{count} left out: {reasons(files)}"


def all_problems(what: str, problems: Sequence[str], remedy: str) -> BadInput:
    """One error for all problems: the first ten in full, and the number of the others."""
    more = len(problems) - SHOWN_PROBLEMS
    named = [*problems[:SHOWN_PROBLEMS], *([f"and {more} more"] if more > 0 else [])]
    return BadInput(f"{what}: {'; '.join(named)}; {remedy}")


def write_left_out(files: Iterable[LeftOut], path: Path) -> None:
    """Write a line "fault<TAB>path" for each file; without files, remove what an earlier run wrote.

    A path that cannot be printed, or that begins with a quote, is written as a JSON string.

    Raises:
        BadInput: the file cannot be written.
    """
    lines = "".join(f"{each.fault}\t{_written(each.path)}\n" for each in files)
    if not lines:
        path.unlink(missing_ok=True)
        return
    with atomic_write(path) as file:
        file.write(lines.encode())


def _written(path: str) -> str:
    return path if path.isprintable() and not path.startswith('"') else json.dumps(path)


def read_left_out(path: Path) -> list[LeftOut]:
    """The files that `write_left_out` has listed; none where there is no list.

    Raises:
        FormatError: the file holds something else.
    """
    if not path.exists():
        return []
    with reading(path, "a list of files that were left out", "remove it and its database"):
        lines = path.read_bytes().decode().split("\n")[:-1]
        rows = [line.split("\t", 1) for line in lines]
        return [LeftOut(_read(name), Fault(fault)) for fault, name in rows]


def _read(name: str) -> str:
    return str(json.loads(name)) if name.startswith('"') else name
