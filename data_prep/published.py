"""Compares image lists with the authors', by the 33 MD5 sums that they published.

The sums stand at the end of the authors' ilsvrc12/make_reduced_datasets.sh.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from itertools import zip_longest
from pathlib import Path

from caffe_transfer.errors import shortened
from caffe_transfer.paths import DataFolder


class State(StrEnum):
    """Result of comparing one list."""

    IDENTICAL = "identical"
    DIFFERENT = "different"
    NOT_CHECKABLE = "not checkable"


@dataclass(frozen=True)
class Verdict:
    """State of one list; `detail` gives the reason, or the first line that differs."""

    name: str
    state: State
    detail: str = ""


@cache
def published_md5() -> dict[str, str]:
    """Data name -> MD5 of its files.txt, for the 33 lists that the authors published."""
    rows = (files("caffe_transfer.data_prep") / "published_md5.txt").read_text().splitlines()
    return {name: md5 for md5, name in (row.split() for row in rows)}


def verify(data: DataFolder, reference: DataFolder | None = None) -> list[Verdict]:
    """Compare every published list with the one in `data`.

    Args:
        reference: a folder of the authors' lists, for showing the first line that differs.
    """
    return [_verdict(name, md5, data, reference) for name, md5 in published_md5().items()]


def _verdict(name: str, md5: str, data: DataFolder, reference: DataFolder | None) -> Verdict:
    path = data.list(name)
    if not path.is_file():
        return Verdict(name, State.NOT_CHECKABLE, f"there is no {path}")
    if _md5(path) == md5:
        return Verdict(name, State.IDENTICAL)
    if reference is None or not reference.list(name).is_file():
        return Verdict(name, State.DIFFERENT, "the authors' list is not there to compare with")
    if _md5(reference.list(name)) != md5:
        return Verdict(name, State.DIFFERENT, "and the reference list is not the authors' either")
    return Verdict(name, State.DIFFERENT, _first_difference(path, reference.list(name)))


def _first_difference(ours: Path, theirs: Path) -> str:
    pairs = zip_longest(*map(_lines, (ours, theirs)), fillvalue="")
    number, (mine, published) = next(
        (number, pair) for number, pair in enumerate(pairs, 1) if pair[0] != pair[1]
    )
    return f"line {number} is {shortened(repr(mine))}, theirs {shortened(repr(published))}"


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").split("\n")


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
