"""Compare two files or two trees: by their bytes, then by their meaning, then line by line."""

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from caffe_transfer.comparison.blobs import BlobComparison, compare_blobs, summary_of
from caffe_transfer.errors import (
    BadInput,
    CaffeTransferError,
    Incomplete,
    printable,
    shortened,
)
from caffe_transfer.formats.binaryproto import read_blob
from caffe_transfer.formats.caffemodel import Blob, open_model
from caffe_transfer.formats.kinds import Kind, kind_of
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_prototxt
from caffe_transfer.formats.solverstate import open_state
from caffe_transfer.formats.upgrade import upgrade_net, upgrade_solver
from caffe_transfer.nets.dialect_2014 import FRESH_SUFFIX
from caffe_transfer.reading import refuse_endless

CHUNK_BYTES = 1 << 20
MAX_LINES = 20
MAX_LINK_BYTES = 4096


class Verdict(StrEnum):
    """Outcome of comparing two files."""

    IDENTICAL = "identical"
    SAME_MEANING = "same meaning"
    DIFFERENT = "different"
    ONLY_LEFT = "only in the first"
    ONLY_RIGHT = "only in the second"
    BROKEN = "broken"


SAME = frozenset({Verdict.IDENTICAL, Verdict.SAME_MEANING})

# Called with the bytes that are compared of the first side, and with those of all its files.
OnBytes = Callable[[int, int], None]


def _silent(_done: int, _total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Comparison:
    """Two files.

    Attributes:
        name: path relative to the two trees, or the name of the first file.
        lines: differing lines of texts, or what is wrong with a broken file.
        blobs: every blob of two models, solver states or means whose bytes differ.
    """

    name: str
    verdict: Verdict
    kind: Kind = Kind.OTHER
    lines: tuple[str, ...] = ()
    blobs: tuple[BlobComparison, ...] = ()

    @property
    def summary(self) -> str:
        """How the blobs differ, in a few words; "" for files without blobs."""
        return summary_of(self.blobs) if self.blobs else ""

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name, with plain strings for the enums."""
        return asdict(self) | {"verdict": self.verdict.value, "kind": self.kind.value}


def compare(
    left: str | os.PathLike[str],
    right: str | os.PathLike[str],
    *,
    match_fresh: bool = False,
    common: bool = False,
    progress: OnBytes = _silent,
) -> Iterator[Comparison]:
    """Compare two files, or all files of two trees, one at a time; broken files get a verdict.

    Args:
        match_fresh: match layer conv4 of one model with layer conv4-new of the other.
        common: skip files that only one tree has.
        progress: called about once a megabyte, and once with all.

    Raises:
        Incomplete: one of the two does not exist.
        BadInput: one is a file and the other a folder.
    """
    left, right = Path(left), Path(right)
    for path in (left, right):
        if not os.path.lexists(path):
            raise Incomplete(f"there is no {path}; check the name")
    if left.is_dir() != right.is_dir():
        raise BadInput(f"{left} and {right} are a folder and a file; compare two of a kind")
    if left.is_dir():
        return _compare_all(_files(left), _files(right), match_fresh, common, progress)
    return _compare_all({left.name: left}, {left.name: right}, match_fresh, common, progress)


def model_and_net(left: Path, right: Path) -> tuple[Path, Path] | None:
    """Two files as a model and a prototxt, if they are these, for `fit`; a tree is neither."""
    if not left.is_file() or not right.is_file():
        return None
    kinds = kind_of(left), kind_of(right)
    if kinds == (Kind.MODEL, Kind.PROTOTXT):
        return left, right
    return (right, left) if kinds == (Kind.PROTOTXT, Kind.MODEL) else None


def _compare_all(
    ours: Mapping[str, Path],
    theirs: Mapping[str, Path],
    match_fresh: bool,
    common: bool,
    progress: OnBytes,
) -> Iterator[Comparison]:
    """Compare what has one name."""
    sizes = {name: path.lstat().st_size for name, path in ours.items() if name in theirs}
    total, before = sum(sizes.values()), 0
    for name in sorted({*ours, *theirs}):
        if name in sizes:
            report = partial(_report_part, progress, total, before, sizes[name])
            yield compare_files(name, ours[name], theirs[name], match_fresh, report)
            before += sizes[name]
            if before < total:
                progress(before, total)
        elif not common:
            yield Comparison(name, Verdict.ONLY_LEFT if name in ours else Verdict.ONLY_RIGHT)
    if total:
        progress(total, total)


def _report_part(progress: OnBytes, total: int, before: int, size: int, done: int) -> None:
    """Report a part of one file, never all: its meaning may be compared as well.

    What a link leads to may be larger than the link.
    """
    progress(before + max(0, min(done, size - 1)), total)


def _files(root: Path) -> dict[str, Path]:
    """All files and links below a folder; links are not followed, so that loops do no harm."""
    found = {}
    for folder, folders, files in os.walk(root):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in [*files, *links]:
            path = Path(folder, name)
            found[str(path.relative_to(root))] = path
    return found


def compare_files(
    name: str, left: Path, right: Path, match_fresh: bool, report: Callable[[int], None]
) -> Comparison:
    """Compare two files or links; an unreadable file gives the verdict BROKEN, not an error.

    Args:
        report: called with the bytes that are read of each.
    """
    try:
        refuse_endless(left)
        refuse_endless(right)
        if left.is_symlink() or right.is_symlink():
            return _compare_links(name, left, right, report)
        if _same_bytes(left, right, report):
            return Comparison(name, Verdict.IDENTICAL, kind_of(left))
        kind = kind_of(left)
        if kind is not kind_of(right):
            kind = Kind.OTHER
        return _COMPARERS[kind](name, left, right, match_fresh)
    except CaffeTransferError as error:
        return Comparison(name, Verdict.BROKEN, lines=(str(error),))
    except OSError as error:
        return Comparison(name, Verdict.BROKEN, lines=(f"cannot read {error.filename}: {error}",))


def _compare_links(name: str, left: Path, right: Path, report: Callable[[int], None]) -> Comparison:
    """A link means the same as a file that holds its target, as checkouts without links do."""
    targets = [_target(left), _target(right)]
    if None not in targets and targets[0] == targets[1]:
        both = left.is_symlink() and right.is_symlink()
        return Comparison(name, Verdict.IDENTICAL if both else Verdict.SAME_MEANING)
    if None in targets:
        left, right = (Path(os.path.realpath(each, strict=True)) for each in (left, right))
        return compare_files(name, left, right, False, report)
    return Comparison(name, Verdict.DIFFERENT, lines=(f"-> {targets[0]}", f"-> {targets[1]}"))


def _target(path: Path) -> str | None:
    if path.is_symlink():
        return os.readlink(path)
    if path.stat().st_size > MAX_LINK_BYTES:
        return None
    return path.read_bytes().decode(errors="replace")


def _same_bytes(left: Path, right: Path, report: Callable[[int], None]) -> bool:
    if left.stat().st_size != right.stat().st_size:
        return False
    with left.open("rb") as a, right.open("rb") as b:
        while chunk := a.read(CHUNK_BYTES):
            if chunk != b.read(CHUNK_BYTES):
                return False
            report(a.tell())
    return True


def _compare_models(name: str, left: Path, right: Path, match_fresh: bool) -> Comparison:
    with open_model(left) as a, open_model(right) as b:
        sides = [
            {_plain(layer.name, match_fresh): layer.blobs for layer in model.with_blobs.values()}
            for model in (a, b)
        ]
        return _from_blobs(name, Kind.MODEL, *sides)


def _plain(layer: str, match_fresh: bool) -> str:
    return layer.removesuffix(FRESH_SUFFIX) if match_fresh else layer


def _compare_states(name: str, left: Path, right: Path, _match_fresh: bool) -> Comparison:
    with open_state(left) as a, open_state(right) as b:
        found = _from_blobs(name, Kind.STATE, {"history": a.history}, {"history": b.history})
        lines = tuple(
            f"{key} {mine} and {other}"
            for key, mine, other in (
                ("iteration", a.iteration, b.iteration),
                ("step", a.current_step, b.current_step),
            )
            if mine != other
        )
        verdict = Verdict.DIFFERENT if lines else found.verdict
        return Comparison(name, verdict, Kind.STATE, lines, found.blobs)


def _compare_means(name: str, left: Path, right: Path, _match_fresh: bool) -> Comparison:
    return _from_blobs(name, Kind.MEAN, {"mean": (read_blob(left),)}, {"mean": (read_blob(right),)})


def _from_blobs(
    name: str,
    kind: Kind,
    left: Mapping[str, tuple[Blob, ...]],
    right: Mapping[str, tuple[Blob, ...]],
) -> Comparison:
    """The same blobs in another format or order mean the same."""
    blobs = compare_blobs(left, right)
    same = all(blob.identical for blob in blobs)
    return Comparison(name, Verdict.SAME_MEANING if same else Verdict.DIFFERENT, kind, blobs=blobs)


def _compare_prototxts(name: str, left: Path, right: Path, _match_fresh: bool) -> Comparison:
    same = _meaning(left) == _meaning(right)
    verdict = Verdict.SAME_MEANING if same else Verdict.DIFFERENT
    return Comparison(name, verdict, Kind.PROTOTXT, _differing_lines(left, right))


def _meaning(path: Path) -> pb.NetParameter | pb.SolverParameter:
    message = read_prototxt(path)
    if isinstance(message, pb.NetParameter):
        return upgrade_net(message, str(path))
    return upgrade_solver(message)


def _compare_texts(name: str, left: Path, right: Path, _match_fresh: bool) -> Comparison:
    return Comparison(name, Verdict.DIFFERENT, Kind.LIST, _differing_lines(left, right))


def _differing_lines(left: Path, right: Path) -> tuple[str, ...]:
    sides = [path.read_text(errors="replace").splitlines() for path in (left, right)]
    pairs = enumerate(zip(*sides, strict=False))
    first = next((n for n, (a, b) in pairs if a != b), min(map(len, sides)))
    if first == max(map(len, sides)):
        return ("only line ends differ",)
    # Lists have a million lines: difflib sees the few from the first difference on.
    window = slice(first, first + 10 * MAX_LINES)
    ours, theirs = (side[window] for side in sides)
    steps = difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes()
    if (
        len(steps) > 1
        and steps[-1][0] in ("insert", "delete")
        and any(len(s) > window.stop for s in sides)
    ):
        steps.pop()  # the window cut one side earlier than the other
    lines: list[str] = []
    for step, a0, a1, b0, b1 in steps:
        if step != "equal":
            lines += [f"-{_shown(line)}" for line in ours[a0:a1]]
            lines += [f"+{_shown(line)}" for line in theirs[b0:b1]]
    more = [f"... from line {first + 1} on"] if len(lines) > MAX_LINES else []
    return (f"line {first + 1}:", *lines[:MAX_LINES], *more)


def _shown(line: str) -> str:
    return shortened(printable(line))


def _compare_bytes(name: str, _left: Path, _right: Path, _match_fresh: bool) -> Comparison:
    return Comparison(name, Verdict.DIFFERENT)


_COMPARERS: dict[Kind, Callable[[str, Path, Path, bool], Comparison]] = {
    Kind.MODEL: _compare_models,
    Kind.STATE: _compare_states,
    Kind.MEAN: _compare_means,
    Kind.PROTOTXT: _compare_prototxts,
    Kind.LIST: _compare_texts,
    Kind.OTHER: _compare_bytes,
}
