"""Decodes image files as Caffe's convert_imageset does, and says what is wrong with the others.

Pixels are uint8 in BGR order.  As in Caffe, which leaves it all to OpenCV: the orientation that
EXIF gives is applied, transparency is dropped (the colors beneath stay), 16 bits become the upper
8, CMYK becomes BGR, and of several pages the first is read.
"""

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from caffe_transfer.data_prep.containers import JPEG, container_fault, end_of_jpeg, is_image
from caffe_transfer.data_prep.left_out import Fault
from caffe_transfer.data_prep.stores import Store
from caffe_transfer.formats.datum import planes
from caffe_transfer.formats.images import decode_image

Pixels: TypeAlias = npt.NDArray[np.uint8]

# What the decoder makes of blocks that are not there, whose coefficients it takes for 0: the gray
# of images in gray, YCbCr and RGB; in CMYK; and in YCCK.
_FILLERS = (128, 65, 64)
_BLOCK = 8  # pixels
# Data that decodes to something else in any image, with each restart marker in it: a decoder that
# waits for one takes no data before.
_DATA = bytes(range(0xFF)) * 4
_MORE = _DATA + b"".join(bytes((0xFF, 0xD0 + number)) + _DATA for number in range(8))


def read_image(store: Store, name: str, size: int | None, gray: bool) -> Pixels | Fault:
    """An image as Caffe decodes it, (channels, height, width); or why it cannot be used.

    Args:
        name: of the image in the store.
        size: side in pixels to which it is resized, whatever its proportions; None to keep its own.
        gray: one channel instead of three.
    """
    try:
        data = store.read(name)
    except OSError:
        return Fault.UNREADABLE
    image = decode(data, gray)
    if isinstance(image, Fault):
        return image
    return planes(image if size is None else cv2.resize(image, (size, size)))


def decode(data: bytes, gray: bool) -> Pixels | Fault:
    """An image file as OpenCV decodes it, (height, width[, 3]); or why it cannot be used."""
    if not data:
        return Fault.EMPTY
    if fault := container_fault(data):
        return fault
    try:
        image = _decoded(data, gray)
    except cv2.error as error:
        too_large = "CV_IO_MAX_IMAGE" in str(error) or "Insufficient memory" in str(error)
        return Fault.TOO_LARGE if too_large else Fault.DAMAGED
    if image is None:
        return Fault.DAMAGED if is_image(data) else Fault.NOT_AN_IMAGE
    if data.startswith(JPEG) and _may_lack_blocks(image) and _takes_more(data, image, gray):
        return Fault.TRUNCATED
    return image


def _decoded(data: bytes, gray: bool) -> Pixels | None:
    mode = cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR
    image = decode_image(data, mode)
    return None if image is None else image.astype(np.uint8, copy=False)


def _may_lack_blocks(image: Pixels) -> bool:
    """Whether a corner is filler: the last block is in one of them, by the image's orientation.

    A file that lacks no more than a part of its last row of blocks may pass.
    """
    for ys in (slice(_BLOCK), slice(-_BLOCK, None)):
        for xs in (slice(_BLOCK), slice(-_BLOCK, None)):
            corner = image[ys, xs]
            if corner.flat[0] in _FILLERS and np.all(corner == corner.flat[0]):
                return True
    return False


def _takes_more(data: bytes, image: Pixels, gray: bool) -> bool:
    """Whether a JPEG decodes to something else with more data before its end.

    A whole image leaves that data alone.  So a file is found out that was closed properly after a
    part of the image.
    """
    end = end_of_jpeg(data) or len(data)
    longer = _decoded(data[:end] + _MORE + data[end:], gray)
    return longer is None or not np.array_equal(longer, image)
