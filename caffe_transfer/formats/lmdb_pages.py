"""Checks a database by its own pages before LMDB maps it.

LMDB trusts its file: one wrong bit in a page leads it outside the map, and the process dies.  Here
everything is checked that LMDB follows when it reads all records in order: the meta pages, the tree
of branch and leaf pages, and where the values lie that have pages of their own.  Pixels are not
looked at.

A file is an array of pages (mdb.c of LMDB 0.9, 64 bits, little-endian).  Pages 0 and 1 are metas,
of which the one with the higher transaction counts.  A page begins with a header of 16 bytes:

    number u64, unused u16, flags u16, lower u16, upper u16        branch, leaf, meta
    number u64, unused u16, flags u16, count u32                   first one of an overflow run

Offsets of nodes follow, in the order of their keys, up to `lower`; the nodes themselves fill the
page from `upper` to its end.  A node has a header of 8 bytes (low u16, high u16, flags u16, key
size u16), its key, and in leaves its value, or the u64 number of the run of pages that holds it.
Low and high are the size of the value, in branches with the flags the number of the child page.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from caffe_transfer.errors import FormatError

Whole = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

# Of files larger than this the headers of overflow runs are not read, as that reads the whole file.
READ_ALL_BELOW = 4 << 30

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_PAGE_SIZES = [1 << bits for bits in range(9, 16)]
_BRANCH, _LEAF, _OVERFLOW, _META_PAGE = 1, 2, 4, 8
_HEADER, _NODE, _NUMBER = 16, 8, 8  # bytes
_BIG = 1  # flag of a node whose value has pages of its own
_NO_PAGE = (1 << 64) - 1
_MOST_LEVELS = 32  # LMDB's own limit
_MOST_PAGES = 1 << 40  # beyond, its sizes in bytes overflow
_PAGES_AT_ONCE = 512

_DB = np.dtype([
    ("unused", "<u4"), ("flags", "<u2"), ("depth", "<u2"), ("branches", "<u8"), ("leaves", "<u8"),
    ("overflows", "<u8"), ("entries", "<u8"), ("root", "<u8"),
])  # fmt: skip
_META = np.dtype([
    ("number", "<u8"), ("unused", "<u2"), ("flags", "<u2"), ("bounds", "<u4"), ("magic", "<u4"),
    ("version", "<u4"), ("address", "<u8"), ("map_size", "<u8"), ("page_size", "<u4"),
    ("free", "V44"), ("main", _DB), ("last", "<u8"), ("transaction", "<u8"),
])  # fmt: skip


def check_pages(file: Path) -> None:
    """Check the pages of a database's file.

    Raises:
        FormatError: a page is damaged, the file is cut off, or holds no plain records.
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        size = opened.seek(0, 2)
        if size < _META.itemsize:
            raise FormatError(f"{file} is cut off; make the database anew")
        mapped = mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ)
    if size > READ_ALL_BELOW:
        mapped.madvise(mmap.MADV_RANDOM)
    content = np.frombuffer(mapped, np.uint8)
    page_size = int(content[: _META.itemsize].view(_META)["page_size"][0])
    if page_size not in _PAGE_SIZES or size < 2 * page_size:
        raise _damaged(file, 0, "its size of pages is wrong")
    whole = size // page_size
    pages = content[: whole * page_size].reshape(whole, page_size)
    meta = _newer_meta(file, pages)
    main = meta["main"]
    if int(meta["last"]) >= _MOST_PAGES:
        raise _damaged(file, int(meta["number"]), "it counts too many pages")
    if main["flags"]:
        raise FormatError(f"{file} holds no plain records of images; make the database anew")
    _Walk(file, pages, int(meta["last"])).check(main)


def _newer_meta(file: Path, pages: Bytes) -> np.void:
    """The meta page that counts, of two that must both be whole."""
    metas: list[np.void] = [pages[at, : _META.itemsize].view(_META)[0] for at in (0, 1)]
    for number, meta in enumerate(metas):
        expected = {
            "number": number, "magic": _MAGIC, "version": _VERSION, "page_size": pages.shape[1],
        }  # fmt: skip
        if any(int(meta[key]) != value for key, value in expected.items()):
            raise _damaged(file, number, "it is no meta page of LMDB")
        if not int(meta["flags"]) & _META_PAGE:
            raise _damaged(file, number, "it is no meta page of LMDB")
    # They are written in turn; a file never shrinks.
    first, second = (int(meta["transaction"]) for meta in metas)
    in_turn = first % 2 == 0 and second % 2 == 1 and abs(first - second) == 1
    if not in_turn and (first or second):
        raise _damaged(file, int(second > first), "its transaction does not follow the other's")
    older, newer = sorted(metas, key=lambda meta: int(meta["transaction"]))
    if int(newer["last"]) < int(older["last"]):
        raise _damaged(file, int(newer["number"]), "it is older than it says")
    return newer


@dataclass
class _Nodes:
    """The nodes of some pages, in the order of pages and keys; all arrays have one item a node.

    Attributes:
        block: the pages, one after the other.
        rows, columns: index of the page among these, and of the node in its page.
        starts: offset of the node in the block.
        low, flags, key_sizes: of its header; low is 32 bits.
    """

    block: Bytes
    rows: Whole
    columns: Whole
    starts: Whole
    low: Whole
    flags: Whole
    key_sizes: Whole

    def keys(self) -> npt.NDArray[np.bytes_]:
        """The keys, zeros at their ends."""
        width = max(1, int(self.key_sizes.max()))
        columns = np.arange(width)
        at = np.minimum(self.starts[:, None] + _NODE + columns, self.block.size - 1)
        keys = np.where(columns < self.key_sizes[:, None], self.block[at], np.uint8(0))
        found: npt.NDArray[np.bytes_] = np.ascontiguousarray(keys).view(f"S{width}")[:, 0]
        return found

    def numbers(self, which: npt.NDArray[np.bool_]) -> Whole:
        """The page numbers behind some keys; those beyond 63 bits are negative."""
        at = (self.starts + _NODE + self.key_sizes)[which][:, None] + np.arange(_NUMBER)
        found: Whole = np.ascontiguousarray(self.block[at]).view("<i8")[:, 0]
        return found


@dataclass
class _Walk:
    """A walk over the tree of records, level by level from its root.

    Attributes:
        last: number of the last page in use.
        first, counts: the first page and the number of pages of all that was found.
        last_key: of the records that were found so far.
    """

    file: Path
    pages: Bytes
    last: int
    first: list[Whole] = field(default_factory=list)
    counts: list[Whole] = field(default_factory=list)
    last_key: bytes = b""
    entries: int = 0
    overflows: int = 0

    def check(self, main: np.void) -> None:
        """Follow the tree that a meta page describes.

        Raises:
            FormatError: it is damaged.
        """
        root, depth, entries = (int(main[key]) for key in ("root", "depth", "entries"))
        if root == _NO_PAGE and not entries and not depth:
            return
        if not 0 < depth <= _MOST_LEVELS or root > self.last:
            raise self._meta_damaged("its tree has no root")
        level = np.array([root])
        branches = 0
        for _ in range(depth - 1):
            branches += len(level)
            level = np.concatenate(list(self._children(level)))
        self._records(level)
        found = (branches, len(level), self.entries)
        if found != tuple(int(main[key]) for key in ("branches", "leaves", "entries")):
            raise self._meta_damaged(f"it counts other records than the {self.entries} there are")
        whole = self.overflows == int(main["overflows"])
        if not (whole if self._reads_all else self.overflows <= int(main["overflows"])):
            raise self._meta_damaged("it counts other pages than there are")
        self._check_apart()

    @property
    def _reads_all(self) -> bool:
        return self.pages.size <= READ_ALL_BELOW

    def _children(self, level: Whole) -> Iterator[Whole]:
        for numbers, nodes in self._parsed(level, _BRANCH, _HEADER + 4):
            self._check_order(numbers, nodes, of_branch=True)
            yield nodes.low + (nodes.flags << 32)

    def _records(self, level: Whole) -> None:
        for numbers, nodes in self._parsed(level, _LEAF, _HEADER + 2):
            self._check_order(numbers, nodes, of_branch=False)
            self.entries += len(nodes.rows)
            big = nodes.flags == _BIG
            if big.any():
                runs, sizes = nodes.numbers(big), nodes.low[big]
                self._check_runs(runs, (_HEADER - 1 + sizes) // self.pages.shape[1] + 1)

    def _parsed(self, level: Whole, kind: int, lower: int) -> Iterator[tuple[Whole, _Nodes]]:
        """The nodes of pages of one kind, some pages at a time."""
        if len(np.unique(level)) != len(level):
            raise self._meta_damaged("two branches of its tree lead to one page")
        for start in range(0, len(level), _PAGES_AT_ONCE):
            numbers = level[start : start + _PAGES_AT_ONCE]
            self._claim(numbers, np.ones_like(numbers))
            yield numbers, self._nodes(numbers, kind, lower)

    def _claim(self, numbers: Whole, counts: Whole) -> None:
        """Note pages, which must lie in the file."""
        ends = numbers + counts
        self._refuse(
            (numbers < 2) | (ends > self.last + 1), numbers, "the tree should not lead there"
        )
        self._refuse(ends > len(self.pages), numbers, "the file ends before it")
        self.first.append(numbers)
        self.counts.append(counts)

    def _nodes(self, numbers: Whole, kind: int, least: int) -> _Nodes:
        size = self.pages.shape[1]
        block = self.pages[numbers]
        words = block.view("<u2").astype(np.int64)
        flags, lower, upper = (words[:, column] for column in (5, 6, 7))
        self._refuse(
            block[:, :8].copy().view("<u8")[:, 0] != numbers, numbers, "it has another number"
        )
        self._refuse(flags != kind, numbers, "it is of another kind")
        wrong = (lower < least) | (lower % 2 == 1) | (lower > upper) | (upper > size)
        self._refuse(wrong, numbers, "its header is wrong")
        counts = (lower - _HEADER) // 2
        rows, columns = np.nonzero(np.arange(counts.max()) < counts[:, None])
        offsets = words[rows, _HEADER // 2 + columns]
        wrong = (offsets < upper[rows]) | (offsets % 2 == 1) | (offsets + _NODE > size)
        self._refuse(wrong, numbers[rows], "a record lies outside it")
        starts = rows * size + offsets
        low, high, node_flags, key_sizes = (
            words.reshape(-1)[starts // 2 + word] for word in range(4)
        )  # fmt: skip
        nodes = _Nodes(
            block.reshape(-1), rows, columns, starts, low + (high << 16), node_flags, key_sizes
        )
        self._check_extents(numbers, nodes, upper, kind)
        return nodes

    def _check_extents(self, numbers: Whole, nodes: _Nodes, upper: Whole, kind: int) -> None:
        """The nodes fill their pages from `upper` on, without gaps."""
        size, pages = self.pages.shape[1], numbers[nodes.rows]
        lengths = _NODE + nodes.key_sizes
        if kind == _LEAF:
            self._refuse(nodes.key_sizes == 0, pages, "a record has no key")
            self._refuse(nodes.flags > _BIG, pages, "a record is of another kind")
            lengths += np.where(nodes.flags == _BIG, _NUMBER, nodes.low)
        lengths += lengths % 2
        order = np.argsort(nodes.starts)
        starts, ends, rows = nodes.starts[order], (nodes.starts + lengths)[order], nodes.rows[order]
        expected = np.concatenate([[0], ends[:-1]])
        begins = np.concatenate([[True], rows[1:] != rows[:-1]])
        expected[begins] = rows[begins] * size + upper[rows[begins]]
        self._refuse(starts != expected, numbers[rows], "its records overlap")
        last = np.concatenate([begins[1:], [True]])
        self._refuse(
            ends[last] != (rows[last] + 1) * size, numbers[rows[last]], "a record lies outside it"
        )

    def _check_order(self, numbers: Whole, nodes: _Nodes, of_branch: bool) -> None:
        keys, sizes = nodes.keys(), nodes.key_sizes
        rising = (keys[:-1] < keys[1:]) | ((keys[:-1] == keys[1:]) & (sizes[:-1] < sizes[1:]))
        if of_branch:  # the first key of a page is not used
            rising |= nodes.columns[:-1] == 0
            rising |= nodes.rows[1:] != nodes.rows[:-1]
        else:
            first, last = (
                nodes.block[nodes.starts[at] + _NODE :][: sizes[at]].tobytes() for at in (0, -1)
            )
            if first <= self.last_key:
                raise _damaged(self.file, int(numbers[0]), "its keys are out of order")
            self.last_key = last
        self._refuse(~rising, numbers[nodes.rows[1:]], "its keys are out of order")

    def _check_runs(self, first: Whole, counts: Whole) -> None:
        """Runs of pages that hold large values; they may be longer than needed."""
        self._claim(first, counts)
        if self._reads_all:
            heads = self.pages[first, :_HEADER]
            words = heads.view("<u4")
            wrong = (heads.view("<u8")[:, 0] != first) | (heads.view("<u2")[:, 5] != _OVERFLOW)
            self._refuse(wrong, first, "it is of another kind")
            found = words[:, 3].astype(np.int64)
            self._refuse(found < counts, first, "it is too short for its record")
            self.counts[-1] = counts = found
        self.overflows += int(counts.sum())

    def _check_apart(self) -> None:
        """No page belongs to two."""
        first, counts = np.concatenate(self.first), np.concatenate(self.counts)
        order = np.argsort(first)
        first, ends = first[order], (first + counts)[order]
        self._refuse(ends[:-1] > first[1:], first[1:], "two records lie there")

    def _refuse(self, wrong: npt.NDArray[np.bool_], numbers: Whole, why: str) -> None:
        if wrong.any():
            raise _damaged(self.file, int(numbers[wrong.argmax()]), why)

    def _meta_damaged(self, why: str) -> FormatError:
        return FormatError(f"{self.file} is damaged ({why}); make the database anew")


def _damaged(file: Path, number: int, why: str) -> FormatError:
    return FormatError(f"page {number} of {file} is damaged ({why}); make the database anew")
