"""What the structure of an image file tells before it is decoded: whether all of it is there.

Caffe's decoder, OpenCV, fills what a truncated JPEG lacks with gray and goes on.
"""

import re
from collections.abc import Callable

from caffe_transfer.data_prep.left_out import Fault

JPEG = b"\xff\xd8"
_PNG = b"\x89PNG\r\n\x1a\n"
# Beginnings of the formats that OpenCV decodes, to tell a damaged image from another kind of file.
_BEGINNINGS = re.compile(
    rb"\xff\xd8|\x89PNG\r\n\x1a\n|GIF8|RIFF....WEBP|BM|II\*\0|MM\0\*|P[1-7]\s|....ftypavif"
    rb"|\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    re.DOTALL,
)
# ITU-T T.81, B.1.1: a marker is 0xff and a code; 0xff 0 is a 0xff of the data, and the codes from
# 0xd0 to 0xd7 (restart) stand within the data.  The pattern begins with one byte and no "+", for
# which the search goes by memchr: 18 times as fast.
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
_END_OF_IMAGE = 0xD9
_WITHOUT_LENGTH = {0x01, 0xD8}


def is_image(data: bytes) -> bool:
    """Whether a file begins as an image does."""
    return _BEGINNINGS.match(data) is not None


def container_fault(data: bytes) -> Fault | None:
    """TRUNCATED or ANIMATED, as far as the structure of a JPEG, PNG, GIF or WebP file shows."""
    for beginning, fault in _STRUCTURES.items():
        if data.startswith(beginning):
            return fault(data)
    return None


def end_of_jpeg(data: bytes) -> int | None:
    """The offset of a JPEG's end-of-image marker; None if it is not there.

    Segments are skipped, so that the end of a thumbnail within one is not taken for the image's.
    """
    position = len(JPEG)
    while marker := _MARKER.search(data, position):
        code, position = marker[1][0], marker.end()
        if code == _END_OF_IMAGE:
            return position - 2
        if code not in _WITHOUT_LENGTH:
            position += int.from_bytes(data[position : position + 2], "big")
    return None


def _jpeg(data: bytes) -> Fault | None:
    return Fault.TRUNCATED if end_of_jpeg(data) is None else None


def _png(data: bytes) -> Fault | None:
    """PNG specification, 5.3: chunks of length, type, data and checksum, the last one IEND."""
    position, animated = len(_PNG), False
    while position + 12 <= len(data):
        length, kind = (
            int.from_bytes(data[position : position + 4], "big"),
            data[position + 4 :][:4],
        )
        animated |= kind == b"acTL"
        position += 12 + length
        if kind == b"IEND":
            return Fault.ANIMATED if animated else None
    return Fault.TRUNCATED


def _gif(data: bytes) -> Fault | None:
    """GIF89a specification, appendix A: blocks up to the trailer; two images are an animation."""
    try:
        position, images = 13 + _colors(data[10]), 0
        while (kind := data[position]) != ord(";"):
            if kind == ord(","):
                images += 1
                position += 10 + _colors(data[position + 9]) + 1
            else:
                position += 2
            while length := data[position]:
                position += 1 + length
            position += 1
    except IndexError:
        return Fault.TRUNCATED
    return Fault.ANIMATED if images > 1 else None


def _colors(flags: int) -> int:
    """Bytes of the table of colors that the flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(data: bytes) -> Fault | None:
    """WebP container specification: a RIFF with its size; VP8X's flag 2 is an animation."""
    if int.from_bytes(data[4:8], "little") + 8 > len(data):
        return Fault.TRUNCATED
    return Fault.ANIMATED if data[12:16] == b"VP8X" and data[20] & 2 else None


_STRUCTURES: dict[bytes, Callable[[bytes], Fault | None]] = {
    JPEG: _jpeg,
    _PNG: _png,
    b"GIF8": _gif,
    b"RIFF": _webp,
}
