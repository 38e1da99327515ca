"""Text of Caffe's logs: blocks of whole lines, and vectorized parsing of numbers and times.

A log has a hundred thousand lines and more, so that work per line is done on arrays. Positions are
byte offsets into a block (int64), and every block is followed by PADDING.
"""

import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from isal import isal_zlib
from numpy.typing import NDArray

Text: TypeAlias = NDArray[np.uint8]
Positions: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]
Times: TypeAlias = NDArray[np.float64]
Number = TypeVar("Number", np.int64, np.float64)

_BLOCK = 1 << 19  # bytes of text per step: they stay in the processor's cache
_COMPRESSED = 32 << 10  # bytes of a file per read
_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 16 + zlib.MAX_WBITS

_LONGEST_NUMBER = 24  # characters
_MOST_PLAIN = 15  # digits in numbers like 4500 and 6.66556: exact in a float64
_MOST_DIGITS = 16
_POWERS = 10 ** np.arange(_MOST_DIGITS + 1)
_EACH = 0x0101010101010101  # times a byte: that byte in all eight bytes of a word
_PAIRS = 0x000000FF000000FF
PADDING = b"\n" * 2 * _LONGEST_NUMBER  # so that looking ahead stays within the block
_ZERO = np.uint8(ord("0"))  # subtraction wraps around: other characters give more than 9
_POINT = np.uint8(ord("."))
_IN_NUMBER = np.isin(np.arange(256), np.frombuffer(b"0123456789+-.einfa", np.uint8))

DAY = 24 * 60 * 60.0  # seconds
YEARLESS = 1972  # stands for an unknown year: a leap year before all real ones
_YEARLESS_DAYS = 366
_YEARLESS_SINCE = 2 * 365 * DAY  # the start of that year in seconds since 1970, and its end
_YEARLESS_BEFORE = _YEARLESS_SINCE + _YEARLESS_DAYS * DAY
# Columns of the digits in "I0403 06:46:22.716258": month, day, hour, minute, second, microsecond
_CLOCK_DIGITS = np.array([1, 2, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16, 17, 18, 19, 20])
_YEAR_DIGITS = np.array([1, 2, 3, 4])
_CLOCK_WIDTH = 22
_CLOCK_PLACES = np.array(  # value of each digit in months, days, microseconds of the day
    [[10, 0, 0], [1, 0, 0], [0, 10, 0], [0, 1, 0]]
    + [[0, 0, seconds * 10**6] for seconds in (36000, 3600, 600, 60, 10, 1)]
    + [[0, 0, 10**place] for place in range(5, -1, -1)],
    np.float64,  # numpy multiplies matrices of floats fast
)


class LineBlocks:
    """Iterates over a plain or gzip file in blocks of whole lines, each followed by PADDING.

    A last line without a newline is left out, since it may be cut off.  If the file cannot be read
    to its end, `problem` says why, once the blocks before that point have been iterated over.
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
                    yield padded(waiting, whole)
                elif len(waiting) > 4 * _BLOCK:  # no text has such lines
                    whole = len(waiting)
                del waiting[:whole]
        if whole := waiting.rfind(b"\n") + 1:
            yield padded(waiting, whole)

    def _data(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                head = file.read(len(_GZIP))
                file.seek(0)
                yield from self._unzipped(file) if head == _GZIP else _pieces(file)
        except OSError as error:
            self.problem = f"{self.path} cannot be read ({error.strerror}); it was left out"

    def _unzipped(self, file: BinaryIO) -> Iterator[bytes]:
        """The text of all gzip members: `cat a.gz b.gz` writes several."""
        member, start, yielded = isal_zlib.decompressobj(_GZIP_WINDOW), 0, 0
        begun = broken = False
        for piece in _pieces(file):
            while piece := piece if begun else piece.lstrip(b"\0"):
                try:
                    text = member.decompress(piece)
                except isal_zlib.error:  # type: ignore[misc]  # its stub calls a class an instance
                    broken = True
                    break
                yield text
                yielded += len(text)
                piece, begun = member.unused_data, not member.eof
                if member.eof:
                    start, yielded = file.tell() - len(piece), 0
                    member = isal_zlib.decompressobj(_GZIP_WINDOW)
            if broken:
                break
        if begun or broken:
            broken = (yield from _until_broken(file, start, yielded)) or broken
            what = ("is broken inside", "comes before") if broken else ("is cut off", "is there")
            self.problem = f"{self.path} {what[0]}; only what {what[1]} was read"


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: file.read(_COMPRESSED), b"")


def padded(text: bytes | bytearray, size: int) -> bytes:
    """The first bytes of a text with PADDING after them."""
    with memoryview(text) as view:  # one copy, where a slice and a sum would make two
        return b"".join((view[:size], PADDING))


def _until_broken(file: BinaryIO, start: int, yielded: int) -> Generator[bytes, None, bool]:
    """Yield the rest of an unfinished gzip member, after the first `yielded` bytes of its text.

    By zlib, whose state can be copied before the error and then fed byte by byte.

    Returns:
        True if the member is broken, False if it is only cut off.
    """
    file.seek(start)
    member = zlib.decompressobj(_GZIP_WINDOW)
    for piece in _pieces(file):
        before = member.copy()
        try:
            text = member.decompress(piece)
        except zlib.error:
            yield b"".join(_whole_bytes(before, piece))[max(0, yielded) :]
            return True
        yield text[max(0, yielded) :]
        yielded -= len(text)
    return False


def _whole_bytes(member: "zlib._Decompress", piece: bytes) -> Iterator[bytes]:
    try:
        for index in range(len(piece)):
            yield member.decompress(piece[index : index + 1])
    except zlib.error:
        return


def line_starts(text: Text) -> Positions:
    """Positions of line starts; the first is 0."""
    return np.append(0, positions(text, b"\n") + 1)


def positions(text: Text, byte: bytes) -> Positions:
    """Positions of a character."""
    return np.flatnonzero(text[: len(text) - len(PADDING)] == ord(byte))


def begins(text: Text, at: Positions, word: bytes) -> Flags:
    """Whether a word of 4 or 8 characters begins at each position."""
    kind = {4: np.uint32, 8: np.uint64}[len(word)]
    return np.asarray(_windows(text, kind)[at] == np.frombuffer(word, kind)[0], np.bool_)


def after(text: Text, pattern: bytes, start: Positions) -> Positions:
    """Positions after a pattern of 4 to 16 characters, for those of `start` where it occurs."""
    word = 8 if len(pattern) >= 8 else 4
    start = start[start >= 0]
    start = start[begins(text, start, pattern[:word])]
    return start[begins(text, start + len(pattern) - word, pattern[-word:])] + len(pattern)


def numbers(text: Text, at: Positions, kind: type[Number]) -> tuple[NDArray[Number], Flags]:
    """The numbers that begin at the positions, and whether there is a number at each."""
    digits, count = _digits(text, at)
    end, places = at + count, np.zeros(len(at), np.int64)
    if kind is np.float64:
        pointed = np.flatnonzero(text[end] == _POINT)
        decimals, places[pointed] = _digits(text, end[pointed] + 1)
        digits[pointed] = digits[pointed] * _POWERS[places[pointed]] + decimals
        end[pointed] += 1 + places[pointed]
    plain = (count > 0) & (count + places <= _MOST_PLAIN) & ~_IN_NUMBER[text[end]]
    # Both are integers that a float64 holds exactly, so that the one division rounds correctly.
    values = (digits / _POWERS[places]).astype(kind)
    if kind is np.int64:
        return values, plain
    good = plain.copy()
    for index in np.flatnonzero(~plain).tolist():  # rare: 1e-05, nan, very long ones
        values[index], good[index] = _number(text, int(at[index]))
    return values, good


def _digits(text: Text, at: Positions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The digits from each position on as an integer, and their count, at most _MOST_DIGITS."""
    values, count = _eight_digits(text, at)
    full = np.flatnonzero(count == 8)
    if len(full):
        more, further = _eight_digits(text, at[full] + 8)
        values[full] = values[full] * _POWERS[further] + more
        count[full] += further
    return values, count


def _eight_digits(text: Text, at: Positions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """At most eight digits, the eight bytes of a word, computed in parallel."""
    word = _windows(text, "<u8")[at] ^ (_EACH * 0x30)
    # A byte above 9 sets its highest bit; the lowest such bit marks the end of the digits.
    others = ((word + _EACH * 0x76) | word) & (_EACH * 0x80)
    below = (others & (~others + 1)) - 1
    count = np.where(others, ((below & _EACH) * _EACH >> 56) - 1, 8)
    word <<= 64 - 8 * count  # the first character is the lowest byte: put zeros before it
    # Combine digits to pairs, then the four pairs to one number.
    word = word * 10 + (word >> 8)
    hundreds = (word & _PAIRS) * (100 + (1000000 << 32))
    word = (hundreds + (word >> 16 & _PAIRS) * (1 + (10000 << 32))) >> 32
    return word.astype(np.int64), count.astype(np.int64)


def _rows(text: Text, at: Positions, width: int) -> Text:
    """The `width` characters from each position on, one row per position."""
    return _windows(text, f"V{width}")[at].view(np.uint8).reshape(-1, width)


def _windows(text: Text, kind: npt.DTypeLike) -> NDArray[Any]:
    """A view of the text as overlapping values of `kind`, one from each position on."""
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
    """The times of glog's prefixes in seconds since 1970, and whether each line has one.

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
    """Order times without a year by the longest pause of the year.

    On the circle of the year, the longest arc without training is taken to be the time before
    training began: what comes after it is moved to the year before.
    """
    yearless = (seconds >= _YEARLESS_SINCE) & (seconds < _YEARLESS_BEFORE)
    days = ((seconds[yearless] - _YEARLESS_SINCE) // DAY).astype(np.int64)
    trained = np.flatnonzero(np.bincount(days))
    if len(trained) < 2:
        return seconds
    pauses = np.append(np.diff(trained), trained[0] + _YEARLESS_DAYS - trained[-1])
    longest = int(np.argmax(pauses))
    if longest == len(trained) - 1:
        return seconds
    late = yearless & (seconds >= _YEARLESS_SINCE + trained[longest + 1] * DAY)
    return np.where(late, seconds - _YEARLESS_DAYS * DAY, seconds)
