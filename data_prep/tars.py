"""Tars read in place: which files they hold, and where, from their headers alone.

The formats that `tar` and tarfile write: ustar, pax (POSIX.1-2001) and GNU's, with long names and
sizes.  Written out here because tarfile reads a quarter of the headers a second, and takes a tar
that was cut off between two members for a whole one.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from caffe_transfer.data_prep.names import shown
from caffe_transfer.data_prep.progress import OnStep, silent
from caffe_transfer.errors import BadInput, FormatError

ENDING = ".tar"
_BLOCK = 512
_END = bytes(_BLOCK)
_REGULAR = b"0\x007"
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL = b"L", b"K", b"x", b"g"
_NOTES = {_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL}  # on the member that follows
_MAX_NOTE = 1 << 20
_MOST_WITHIN = 4  # tars within tars; ImageNet's has one
_WITHOUT_DATA = b"123456"  # links, devices, folders: what their size field says is not there


class Member(NamedTuple):
    """A file in a tar: `size` bytes from `offset` on."""

    name: str
    offset: int
    size: int


def members(path: Path, progress: OnStep = silent) -> Iterator[Member]:
    """The files in a tar; those of a tar within it have its name, without ".tar", as a folder.

    Files with tars in them come last.

    Args:
        progress: told of tars within the tar.

    Raises:
        FormatError: it is no tar, is damaged, or is cut off; names the last complete member.
        BadInput: it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield from _Span(descriptor, shown(path), 0, os.fstat(descriptor).st_size).files(
                progress
            )
        finally:
            os.close(descriptor)
    except OSError as error:
        raise BadInput(f"{shown(path)} cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class _Header:
    """One header block; `name` as its bytes are."""

    name: bytes
    size: int
    kind: bytes


@dataclass(frozen=True)
class _Span:
    """The part of an open file that is a tar."""

    descriptor: int
    name: str
    start: int
    end: int
    depth: int = 0

    def files(self, progress: OnStep) -> Iterator[Member]:
        within = []
        if self.depth > _MOST_WITHIN:
            raise FormatError(
                f"{self.name} lies in {_MOST_WITHIN} other tars; unpack the outer ones, and name "
                "the inner one"
            )
        for member in self._members():
            if member.name.endswith(ENDING):
                within.append(member)
            else:
                yield member
        for number, (name, offset, size) in enumerate(within, 1):
            shown_name, end = f"{self.name}/{shown(name)}", offset + size
            inner = _Span(self.descriptor, shown_name, offset, end, self.depth + 1)
            folder = name.removesuffix(ENDING)
            for each in inner.files(silent):
                yield Member(f"{folder}/{each.name}", each.offset, each.size)
            progress(f"reading {self.name}", number, len(within))

    def _members(self) -> Iterator[Member]:
        position, last, notes = self.start, "", dict[bytes, bytes]()
        while (block := self._read(position, _BLOCK)) != _END:
            header = _parse(block)
            if header is None:
                raise self._fault(position, len(block) < _BLOCK, last)
            data = position + _BLOCK
            if header.kind in _NOTES:
                notes |= self._note(header, data, last)
                position = _padded(data, header.size)
                continue
            bare = header.kind in _WITHOUT_DATA
            size = 0 if bare else int(notes.get(b"size", header.size))
            name = os.fsdecode(notes.get(b"path", header.name)).removeprefix("./").lstrip("/")
            position = _padded(data, size)
            if data + size > self.end:
                raise self._cut(shown(name), last)
            notes = {}
            # A format older than ustar marks a folder by the end of its name.
            if header.kind in _REGULAR and not name.endswith("/"):
                yield Member(name, data, size)
            last = shown(name)

    def _read(self, position: int, size: int) -> bytes:
        return os.pread(self.descriptor, max(min(size, self.end - position), 0), position)

    def _note(self, header: _Header, position: int, last: str) -> dict[bytes, bytes]:
        """What a header says of the next member: its "path" or "size"."""
        data = self._read(position, header.size) if header.size <= _MAX_NOTE else b""
        if len(data) < header.size:
            raise self._fault(position, header.size <= _MAX_NOTE, last)
        if header.kind == _LONG_NAME:
            return {b"path": data.split(b"\0")[0]}
        if header.kind != _PAX:
            return {}
        try:
            return _pax_records(data)
        except ValueError:
            raise self._fault(position, False, last) from None

    def _fault(self, position: int, ends: bool, last: str) -> FormatError:
        if position == self.start:
            return FormatError(f"{self.name} is no tar file; name one that is not compressed")
        if ends:
            return self._cut("", last)
        return FormatError(f"{self.name} is damaged {_after(last)}; copy it again")

    def _cut(self, name: str, last: str) -> FormatError:
        within = f" within {name}" if name else ""
        return FormatError(f"{self.name} is cut off{within} {_after(last)}; copy it again")


def _padded(data: int, size: int) -> int:
    """Where the next header stands."""
    return data + -(-size // _BLOCK) * _BLOCK


def _after(last: str) -> str:
    return f"after {last}, its last complete member" if last else "in its first member"


def _parse(block: bytes) -> _Header | None:
    """A header's fields (POSIX.1-2001, pax, ustar interchange format); None if it is none."""
    if len(block) < _BLOCK:
        return None
    try:
        # The checksum counts its own eight bytes as spaces.
        if sum(block) - sum(block[148:156]) + 8 * 32 != _number(block[148:156]):
            return None
        name, size = block[:100].split(b"\0")[0], _number(block[124:136])
    except ValueError:
        return None
    if size < 0:
        return None
    if block[257:263] == b"ustar\0" and block[345]:
        name = block[345:500].split(b"\0")[0] + b"/" + name
    return _Header(name, size, block[156:157])


def _number(field: bytes) -> int:
    """Octal digits, or GNU's binary form for large numbers."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    return int(field.split(b"\0")[0] or b"0", 8)


def _pax_records(data: bytes) -> dict[bytes, bytes]:
    """The records "LENGTH KEY=VALUE\\n" of a pax header that tell a name or a size."""
    found = {}
    while data:
        digits = data.partition(b" ")[0]
        length = int(digits)
        if length <= len(digits):
            raise ValueError
        key, _, value = data[len(digits) + 1 : length - 1].partition(b"=")
        found[key] = value
        data = data[length:]
    if int(found.get(b"size", b"0")) < 0 or b"\0" in found.get(b"path", b""):
        raise ValueError
    return {key: found[key] for key in (b"path", b"size") if key in found}
