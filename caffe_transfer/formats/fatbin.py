"""For which GPUs a library has code: NVIDIA's fat binaries, as nvcc puts them into programs.

A fat binary is a header (magic, version, its own size, the size of what follows) and entries, each
with a header (kind, its own size, the payload's size, and at byte 28 the architecture) and code:
PTX, which a driver compiles for its card, or machine code.  NVIDIA does not document it; what is
read here is for CUDA 13.0 what `cuobjdump --list-elf --list-ptx` lists; the wheel of TensorFlow
1.4.1, built with CUDA 8.0, reads as 3.0 to 6.1.
"""

import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from caffe_transfer.errors import FormatError
from caffe_transfer.reading import reading

Capability = tuple[int, int]

_HEADER = struct.Struct("<IHHQ")
_ENTRY = struct.Struct("<HHIQ12xI")
_BEGIN = re.compile(rb"\x50\xed\x55\xba\x01\x00\x10\x00")
_PTX, _MACHINE = 1, 2


@dataclass(frozen=True)
class GpuCode:
    """Code for GPUs, by compute capability, ascending.

    Attributes:
        machine: what machine code is there for; it runs on cards of the same major number, from
            its minor number on.
        ptx: what PTX is there for; a driver compiles it for any card from there on.
    """

    machine: tuple[Capability, ...]
    ptx: tuple[Capability, ...]

    def runs_on(self, card: Capability) -> bool:
        """Whether a card of this compute capability can run it."""
        return any(each[0] == card[0] and each <= card for each in self.machine) or any(
            each <= card for each in self.ptx
        )

    def __str__(self) -> str:
        named = ", ".join(map(dotted, self.machine))
        return f"{named} and later" if self.ptx else named


def dotted(capability: Capability) -> str:
    """A compute capability as NVIDIA writes it: 9.0."""
    return ".".join(map(str, capability))


def read_gpu_code(library: Path) -> GpuCode | None:
    """Read for which GPUs a library or program has code; None if it has none.

    Raises:
        Incomplete: there is no such file.
        BadInput: it cannot be read.
        FormatError: it is empty, or a fat binary in it is damaged.
    """
    found: dict[int, set[Capability]] = {_PTX: set(), _MACHINE: set()}
    with (
        reading(library, "a library or program", "install it again"),
        library.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        for kind, architecture in _entries(data, library):
            if kind in found:
                found[kind].add(divmod(architecture, 10))
    code = GpuCode(*(tuple(sorted(found[kind])) for kind in (_MACHINE, _PTX)))
    return code if code.machine or code.ptx else None


def _entries(data: mmap.mmap, library: Path) -> Iterator[tuple[int, int]]:
    """Kind and architecture of every entry of every fat binary."""
    for match in _BEGIN.finditer(data):
        *_, header, size = _HEADER.unpack_from(data, match.start())
        at = match.start() + header
        end = at + size
        while at < end:
            if end > len(data) or at + _ENTRY.size > end:
                raise FormatError(f"the GPU code of {library} is cut off; install it again")
            kind, _, entry, payload, architecture = _ENTRY.unpack_from(data, at)
            yield kind, architecture
            at += max(entry + payload, _ENTRY.size)
