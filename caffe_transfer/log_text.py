"""The text of Caffe's logs: blocks of whole lines, and the numbers in many lines at once.

A log has a hundred thousand lines and more; all that is done to each of them is done on arrays.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

Text: TypeAlias = NDArray[np.uint8]
Positions: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]
Times: TypeAlias = NDArray[np.float64]
Number = TypeVar("Number", np.int64, np.float64)

_BLOCK = 1 << 19  # bytes of text worked on at once: they stay in the processor's cache
_COMPRESSED = 32 << 10  # bytes of a gzip file read at once
_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 16 + zlib.MAX_WBITS

_LONGEST_NUMBER = 24  # characters
_LONGEST_PLAIN = 15  # characters of numbers like 4500 and 6.66556: exact in a float64
_POWERS = 10.0 ** np.arange(_LONGEST_PLAIN + 1)
_PADDING = b"\n" * 2 * _LONGEST_NUMBER  # so that no look ahead leaves the text
_ZERO = np.uint8(ord("0"))  # subtracted, it wraps: what is no digit is more than 9
_POINT = np.uint8(ord("."))
_IN_NUMBER = np.isin(np.arange(256), np.frombuffer(b"0123456789+-.einfa", np.uint8))

DAY = 24 * 60 * 60.0  # seconds
YEARLESS = 1972  # stands for a year that is not told: a leap year before all others
_YEARLESS_DAYS = 366
_YEARLESS_BEFORE = (2 * 365 + _YEARLESS_DAYS) * DAY  # the end of that year, seconds since 1970
# Columns of the digits in "I0403 06:46:22.716258": month, day, hour, minute, second, microsecond
_CLOCK_DIGITS = np.array([1, 2, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16, 17, 18, 19, 20])
_YEAR_DIGITS = np.array([1, 2, 3, 4])
_CLOCK_WIDTH = 22
_CLOCK_PLACES = np.array(  # what a digit counts: months, days, microseconds of the day
    [[10, 0, 0], [1, 0, 0], [0, 10, 0], [0, 1, 0]]
    + [[0, 0, seconds * 10**6] for seconds in (36000, 3600, 600, 60, 10, 1)]
    + [[0, 0, 10**place] for place in range(5, -1, -1)],
    np.float64,  # for which numpy has a fast product
)


class LineBlocks:
    """Iterates over a plain or gzip file in blocks of whole lines.

    A last line without its end is left out, since it may be cut.  What keeps the file from
    being read to its end is told in `problem`, after the blocks before it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: str | None = None

    def __iter__(self) -> Iterator[bytes]:
        waiting = bytearray()
        for data in self._data():
            waiting += data
            if len(waiting) >= _BLOCK:
                whole = waiting.rfind(b"\n") + 1
                if whole:
                    yield _copied(waiting, whole)
                elif len(waiting) > 4 * _BLOCK:  # no text has such lines
                    whole = len(waiting)
                del waiting[:whole]
        if whole := waiting.rfind(b"\n") + 1:
            yield _copied(waiting, whole)

    def _data(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                head = file.read(len(_GZIP))
                file.seek(0)
                pieces = iter(lambda: file.read(_COMPRESSED), b"")
                yield from self._unzipped(pieces) if head == _GZIP else pieces
        except OSError as error:
            self.problem = f"{self.path} cannot be read ({error.strerror}); it was left out"

    def _unzipped(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        member = zlib.decompressobj(_GZIP_WINDOW)
        begun = False
        for piece in pieces:
            while piece:
                before = member.copy()
                try:
                    yield member.decompress(piece)
                except zlib.error:
                    yield _until_broken(before, piece)
                    self.problem = f"{self.path} is broken inside; only what comes before was read"
                    return
                begun = not member.eof
                piece = member.unused_data.lstrip(b"\0")
                if member.eof:  # another member may follow, as `cat a.gz b.gz` writes them
                    member = zlib.decompressobj(_GZIP_WINDOW)
        if begun:
            self.problem = f"{self.path} is cut off; only what is there was read"


def _copied(data: bytearray, size: int) -> bytes:
    with memoryview(data) as view:  # one copy, where a slice would make two
        return bytes(view[:size])


def _until_broken(member: "zlib._Decompress", piece: bytes) -> bytes:
    """What a broken piece still holds, found byte by byte."""
    text = bytearray()
    try:
        for index in range(len(piece)):
            text += member.decompress(piece[index : index + 1])
    except zlib.error:
        pass
    return bytes(text)


def padded(block: bytes) -> Text:
    """A block as an array in which every look ahead stays inside."""
    return np.frombuffer(block + _PADDING, np.uint8)


def line_starts(text: Text) -> Positions:
    """Where lines begin; the first one at 0."""
    return np.append(0, positions(text, b"\n") + 1)


def positions(text: Text, byte: bytes) -> Positions:
    """Where a character stands."""
    return np.flatnonzero(text[: len(text) - len(_PADDING)] == ord(byte))


def begins(text: Text, at: Positions, word: bytes) -> Flags:
    """At which of the positions a word of 4 or 8 characters begins."""
    kind = {4: np.uint32, 8: np.uint64}[len(word)]
    return np.asarray(_windows(text, kind)[at] == np.frombuffer(word, kind)[0], np.bool_)


def after(text: Text, pattern: bytes, start: Positions) -> Positions:
    """The positions just after a pattern of 8 to 16 characters, of those at which it may start."""
    start = start[start >= 0]
    start = start[begins(text, start, pattern[:8])]
    return start[begins(text, start + len(pattern) - 8, pattern[-8:])] + len(pattern)


def near(text: Text, at: Positions, byte: bytes, width: int) -> Positions:
    """Where a character stands first within so many from each position on, where it does."""
    hits = _rows(text, at, width) == ord(byte)
    found: Flags = hits.any(axis=1)
    return np.asarray(at[found] + hits[found].argmax(axis=1), np.int64)


def numbers(text: Text, at: Positions, kind: type[Number]) -> tuple[NDArray[Number], Flags]:
    """The numbers that begin at the given positions, and which of them are numbers at all."""
    digits = np.zeros(len(at), np.int64)
    places = np.zeros(len(at), np.int64)  # after the point
    pointed = np.zeros(len(at), np.bool_)
    inside = np.ones(len(at), np.bool_)
    ends = np.zeros(len(at), np.uint8)  # the character after the number
    columns = _rows(text, at, _LONGEST_PLAIN).T
    for column in columns:
        digit = column - _ZERO
        is_digit = inside & (digit <= 9)
        np.multiply(digits, 10, out=digits, where=is_digit)
        np.add(digits, digit, out=digits, where=is_digit)
        places += is_digit & pointed
        point = inside & ~is_digit & (column == _POINT) & ~pointed
        pointed |= point
        going_on = is_digit | point
        np.copyto(ends, column, where=inside & ~going_on)
        inside = going_on
        if not inside.any():
            break
    starts_well = (columns[0] - _ZERO <= 9) if len(columns) else inside
    plain = starts_well & ~inside & ~_IN_NUMBER[ends]
    if kind is np.int64:
        return digits.astype(kind), plain & ~pointed
    # Both are whole numbers that a float64 holds, so that one division rounds correctly.
    values = (digits / _POWERS[places]).astype(kind)
    good = np.ones(len(at), np.bool_)
    for index in np.flatnonzero(~plain).tolist():  # seldom: 1e-05, nan, very long ones
        values[index], good[index] = _number(text, int(at[index]))
    return values, good


def _rows(text: Text, at: Positions, width: int) -> Text:
    """So many characters from each position on, a row each."""
    return _windows(text, f"V{width}")[at].view(np.uint8).reshape(-1, width)


def _windows(text: Text, kind: npt.DTypeLike) -> NDArray[Any]:
    """What stands from each position on, seen as one value, which is copied as a whole."""
    size = np.dtype(kind).itemsize
    return np.ndarray((len(text) - size + 1,), kind, text, strides=(1,))


def _number(text: Text, at: int) -> tuple[float, bool]:
    window = text[at : at + _LONGEST_NUMBER]
    ends = np.flatnonzero(~_IN_NUMBER[window])
    try:
        return float(window[: ends[0] if len(ends) else None].tobytes()), True
    except ValueError:
        return 0.0, False


def times(text: Text, starts: Positions) -> tuple[Times, Flags]:
    """The times of glog's prefixes in seconds since 1970, and which lines have one.

    Prefixes are "I0403 06:46:22.716258 " or, from glog 0.6 on, "I20261123 06:46:22.716258 ".
    """
    year_columns = np.where(text[starts + 5] == ord(" "), 0, 4)
    clock = _rows(text, starts + year_columns, _CLOCK_WIDTH)[:, _CLOCK_DIGITS] - _ZERO
    good = (clock <= 9).all(axis=1)
    month, day, microseconds = (clock.astype(np.float64) @ _CLOCK_PLACES).T
    good &= (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    years = np.full(len(starts), float(YEARLESS))
    dated = np.flatnonzero(year_columns)
    year = _rows(text, starts[dated], _CLOCK_WIDTH)[:, _YEAR_DIGITS] - _ZERO
    years[dated] = year @ np.array([1000.0, 100, 10, 1])
    good[dated] &= (year <= 9).all(axis=1)
    months = np.where(good, (years - 1970) * 12 + month - 1, 0).astype(np.int64)
    first_days = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return (first_days + day - 1) * DAY + microseconds / 1e6, good


def in_order_of_years(seconds: Times) -> Times:
    """Times without a year, put in order by the longest pause of the year.

    The year is a circle on which training leaves an arc free; the longest free arc is taken
    for the time before the training began.
    """
    yearless = seconds < _YEARLESS_BEFORE
    moments = np.unique(seconds[yearless])
    if len(moments) < 2:
        return seconds
    pauses = np.append(np.diff(moments), moments[0] + _YEARLESS_DAYS * DAY - moments[-1])
    longest = int(np.argmax(pauses))
    if longest == len(moments) - 1:
        return seconds
    late = yearless & (seconds > moments[longest])
    return np.where(late, seconds - _YEARLESS_DAYS * DAY, seconds)
