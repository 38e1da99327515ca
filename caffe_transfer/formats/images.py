"""Image files, decoded by OpenCV as Caffe decodes them."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Decoded = npt.NDArray[np.integer[Any] | np.floating[Any]]

# A file that OpenCV warns of is refused or listed by whoever reads it, in a sentence.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)


def decode_image(data: bytes, mode: int) -> Decoded | None:
    """Decode an image file, (height, width[, channels]) with channels in BGR order.

    Args:
        mode: of cv2.imread, such as cv2.IMREAD_COLOR.

    Returns:
        None if OpenCV does not know the format, or cannot read it.

    Raises:
        cv2.error: the data is empty, or the image too large.
    """
    return cv2.imdecode(np.frombuffer(data, np.uint8), mode)
